"""Which runs share a part of the report, and which of them it shows."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from genbench.console import listed
from genbench.families import FAMILIES
from genbench.metrics.table import RANKED_BY
from genbench.record import Record, Study
from genbench.report.group import (
    Group,
    data_title,
    family_title,
    field_roles,
    make_groups,
    sample_scores,
)
from genbench.report.part import Part, in_order

COLUMNS = 3  # groups of a family
CROPPED = {"propaganda-debian": 200}  # crops of a picture where a configuration names none
FEW_SOURCES = 10  # pictures held out to cut crops from; scores against fewer say little
CONTEST = "contest-"  # begins the names of contests
Kind = tuple[tuple[str, str], ...]  # fields that runs must share to be compared, and their values


def make_parts(
    records: Sequence[Record],
    studies: Sequence[Study],
    data: str = "",
    sides: Mapping[str, str] | None = None,
) -> list[Part]:
    """The parts on training runs: of families with codes, of those judged by samples, of others.

    Args:
        records: All runs.
        studies: All searches.
        data: The data set to report on; empty: of each part the one with the most finished runs.
        sides: What contests call configurations, by their keys.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for model in in_order(record.model for record in records):
        family = FAMILIES.get(model)
        codes, samples = family and "encode" in family.can, family and family.judged_by_samples
        alike["codes" if codes else "samples" if samples else f"{model} alone"].append(model)
    parts = []
    for models in alike.values():
        mine = [r for r in records if r.model in models]
        parts += _parts_of(mine, models, studies, data, sides or {})
    return parts


def _parts_of(
    records: list[Record],
    models: list[str],
    studies: Sequence[Study],
    data: str,
    sides: Mapping[str, str],
) -> list[Part]:
    """A part of the most frequent kind, then others for families that have no run of it."""
    fields = _compared_fields(models)
    ended = [r for r in records if r.status == "finished" or r.diverged]
    ended = [r for r in ended if data in ("", r.config["data"])]
    parts = []
    while ended:
        total = Counter(_kind_of(r, fields) for r in ended)
        finished = Counter(_kind_of(r, fields) for r in ended if r.status == "finished")
        kind = max(total, key=lambda kind: (finished[kind], total[kind]))
        inside = [r for r in ended if _kind_of(r, fields) == kind]
        shown = {r.model for r in inside if r.status == "finished"} or {r.model for r in inside}
        over = [s for s in studies if s["model"] in shown]
        over = [s for s in over if _kind({**s["base"]}, fields) == kind[:-2]]
        own = [r for r in records if r.model in shown]
        others = Counter(_kind_of(r, fields) for r in ended if r.model in shown)
        del others[kind]
        left_out = [f"{_runs(n)} {_difference(other, kind)}" for other, n in others.items()]
        counts = dict(Counter(r.status for r in own))
        told = make_groups((r for r in inside if r.model in shown), over, sides)
        parts.append(_part(told, over, counts, left_out))
        ended = [r for r in ended if r.model not in shown]
    return parts


def _compared_fields(models: list[str]) -> dict[str, str]:
    """The fields that runs must share to be compared, and what a family without one counts as.

    As the families say that are registered; of none of them, as all families do.
    """
    fields: dict[str, str] = {}
    for model in [model for model in models if model in FAMILIES] or FAMILIES:
        for name, role in field_roles(model).items():
            if role.compare:
                fields.setdefault(name, "none")
    return fields


def _kind(config: dict[str, Any], fields: dict[str, str]) -> Kind:
    return tuple((name, str(config.get(name, default))) for name, default in fields.items())


def _kind_of(run: Record, fields: dict[str, str]) -> Kind:
    """What the scores of a run are of: such fields of its configuration, its data and its shape."""
    data_hash, shape = str(run.about.get("data_hash"))[:12], run.about.get("shape")
    return (*_kind(run.config, fields), ("shape", str(shape)), ("data_hash", data_hash))


def _difference(kind: Kind, chosen: Kind) -> str:
    """In what one kind differs from another, in words: its data set, and other values."""
    data = dict(kind)["data"]
    told = {"data", "data_hash"} if data != dict(chosen)["data"] else {"data"}
    unlike = [pair for pair in kind if pair not in chosen and pair[0] not in told]
    return f"on {data}" + " with " * bool(unlike) + ", ".join(map("=".join, unlike))


def _runs(n: int) -> str:
    return f"{n} {'run' if n == 1 else 'runs'}"


def _part(
    groups: list[Group], studies: list[Study], counts: dict[str, int], left_out: list[str]
) -> Part:
    """The part on configurations of one kind."""
    wanted = "train" if any(map(few_sources, groups)) else "test"
    named = series(groups, studies)
    eligible = _outside(named, groups)
    shown = _shown(eligible, wanted)
    titles = [family_title(model) for model in in_order(group.model for group in groups)]
    config, coded = groups[0].config, all("encode" in group.can for group in groups)
    families = listed(titles, "or" if coded else "and")
    title = f"{families} on {data_title(config)}" + "?" * (coded and len(titles) > 1)
    split = wanted if all(group.tested for group in shown if group.runs) else "val"
    left_out = left_out + _not_shown(eligible, shown)
    by_key = {group.about["key"]: group for group in groups}
    finals = {
        study["name"]: (by_key[winner], by_key[rival])
        for study in studies
        if (winner := study.get("final_key")) in by_key
        and (rival := study.get("defaults_key")) in by_key
    }
    data = config["data"]
    return Part(title, data, shown, split, studies, finals, counts, left_out, series=named)


def series(groups: list[Group], studies: Sequence[Study]) -> dict[str, list[Group]]:
    """Configurations whose runs share a name, where that is no search's or contest's own.

    The runs of a search are told by what they are too: its study may be lost or damaged.
    """
    own = (*(study["name"] for study in studies), CONTEST)
    named: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        name = group.config.get("group")
        searched = group.config.get("job_type") in ("trial", "final")
        if name and group.runs and not searched and not name.startswith(own):
            named[name].append(group)
    return {name: alike for name, alike in named.items() if len(alike) > 1}


def _outside(named: dict[str, list[Group]], groups: list[Group]) -> list[Group]:
    """Those that are in no series, which has a table of its own; all of a family that has others.

    What was varied to learn from it does not stand for a family beside what a search found.
    """
    inside = {id(group) for alike in named.values() for group in alike}
    families = {group.model for group in groups if id(group) not in inside}
    return [group for group in groups if id(group) not in inside or group.model not in families]


def held_out_sources(group: Group) -> int:
    """How many pictures are held out; of crops, how many they are cut from."""
    images, sources = group.about["images"], group.about.get("sources")
    if sources:
        return sources.get("test", sources["val"])
    crops = group.config.get("crops") or CROPPED.get(group.config["data"], 1)  # an earlier record
    return images.get("test", images["val"]) // crops


def few_sources(group: Group) -> bool:
    """Whether samples are held against crops of so few pictures that it says little."""
    images = group.about["images"]
    cropped = held_out_sources(group) < images.get("test", images["val"])
    return group.judged_by_samples and cropped and held_out_sources(group) < FEW_SOURCES


def _shown(groups: list[Group], wanted: str) -> list[Group]:
    """The best group of each variant, up to `COLUMNS` of a family, its baseline among them.

    Chosen by validation, since the scores of what is shown are compared; then ordered.
    """
    ordered = sorted(groups, key=_rank(groups, "val"), reverse=True)
    best = {(g.model, g.side, g.variant, g.is_baseline): g for g in reversed(ordered)}.values()
    models, chosen = in_order(group.model for group in groups), []
    for model in models:
        first, *others = (group for group in ordered if group in best and group.model == model)
        chosen += [first, *sorted(others, key=lambda g: not g.is_baseline)[: COLUMNS - 1]]
    shown = [group for group in ordered if group in chosen]
    if all(group.judged_by_samples for group in groups):
        return sorted(shown, key=_rank(groups, wanted), reverse=True)
    return sorted(shown, key=lambda group: models.index(group.model))


def _rank(groups: list[Group], wanted: str) -> Callable[[Group], tuple[bool, int, float]]:
    """What orders groups: tested ones, then more seeds (up to three), then the better score.

    The score is that of validation by which epochs are chosen; where samples are judged, KID.
    """
    kids = {
        tested: _usual_kid([r for g in groups if g.tested == tested for r in g.runs], split)
        for tested, split in ((True, wanted), (False, "val"))
    }

    def rank(group: Group) -> tuple[bool, int, float]:
        name, better = group.about["objective"], group.about["direction"]
        if group.judged_by_samples and kids[group.tested]:
            name, better = kids[group.tested], "minimize"
        sample = group.score(name)
        score = (1 if better == "maximize" else -1) * sample.mean if sample else -math.inf
        return group.tested, min(len(group.runs), 3), -math.inf if math.isnan(score) else score

    return rank


def _usual_kid(runs: list[Record], split: str) -> str:
    """The KID to a split that most runs have: of others, the values are of another kind."""
    names = sample_scores((key for run in runs for key in run.scores), split)
    kids = [str(name) for name in names if name.metric == RANKED_BY]
    return max(kids, key=lambda key: sum(key in run.scores for run in runs), default="")


def _not_shown(groups: list[Group], shown: list[Group]) -> list[str]:
    """The runs of the same kind under other settings, in words."""
    counts: Counter[str] = Counter()
    for group in groups:
        counts[group.named] += 0 if group in shown else len(group.ended)
    other = {group.named: " under other settings" for group in shown}
    return [f"{_runs(n)} of the {name}{other.get(name, '')}" for name, n in counts.items() if n]
