"""Contests (experiments/contest.py): named models after the same time on the same pictures."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from genbench.console import counted, listed
from genbench.metrics.names import ScoreName
from genbench.metrics.table import METRICS, RANKED_BY
from genbench.record import Contest, Record, Rung
from genbench.report.comparison import Lead, no_merit
from genbench.report.group import Group, make_groups, sample_scores
from genbench.report.part import Content, Drawing, Part
from genbench.report.sections.adversarial import collapses
from genbench.report.sheets import array, kept_arrays, tiled
from genbench.stats import Claims, Sample

STRIP = 12  # samples of a side
LENGTH = ("steps", "ms a step", "parameters", "seeds", "trouble")
Sides = Mapping[str, Group]  # the ended trainings of each side that has any


def contests(part: Part) -> Iterator[Content]:
    """A contest's table, who won and by how much training, and samples of each side."""
    for contest, sides in part.contests:
        threads = counted(contest["threads"], "thread")
        notes = [
            f"Training of {minutes(contest)} each, as so many steps as take that long "
            f"on this machine ({contest['hardware']}, {threads}), measured beforehand; "
            "scoring is not counted. Each is judged at the epoch that is best "
            "by validation. Untrained is the same network before its first step.",
        ]
        runs = [run for group in sides.values() for run in group.ended]
        known = sorted({run.about["threads"] for run in runs if "threads" in run.about})
        if known not in ([], [contest["threads"]]):
            had = listed([counted(n, "thread") for n in known])
            notes.append(f"The trainings took these steps on {had} each, side by side.")
        if choice := contest["choice"]:
            how = "given, not chosen here"
            if trial_name(choice) in contest["milliseconds"]:
                how = "chosen by validation, on a seed of its own"
            notes.append(
                f"Settings of the DCGAN, {how}: {choice}. Rows that begin with + build "
                "on each other; experiments/contest.py says what each "
                "changes."
            )
        size = next(iter(sides.values())).config.get("image_size")
        heading = f"Contest: {minutes(contest)} of training each, {size} px"
        table = contest_table(contest, sides)
        yield Content(
            heading, list(said(part.claims, contest, sides)), table, notes, _figures(sides)
        )


def trial_name(choice: str) -> str:
    """What the DCGAN is called while its settings are chosen."""
    return f"dcgan, {choice}"


def minutes(contest: Contest) -> str:
    """`3 minutes`."""
    return counted(contest["minutes"], "minute")


def side_names(contests: Iterable[Contest]) -> dict[str, str]:
    """What configurations are called as sides, by their keys; nothing where the family says it.

    With its minutes, as `dcgan, 3 minutes`, what several contests on a data set have.
    """
    known = [(c, side, rung) for c in contests for side, rung in c["sides"].items()]
    times = Counter((contest["data"], side) for contest, side, _ in known)
    names = dict[str, str]()
    for contest, side, rung in known:
        if times[contest["data"], side] > 1:
            names[rung["key"]] = f"{side}, {minutes(contest)}"
        elif side != rung["model"]:
            names[rung["key"]] = side
    return names


def sides_of(contest: Contest, records: Sequence[Record]) -> Sides:
    """The ended trainings of each side among runs, without those that only chose settings."""
    names = {rung["key"]: name for name, rung in contest["sides"].items()}
    mine = [run for run in records if run.about.get("key") in names and run.config.get("test")]
    ended = [run for run in mine if run.status == "finished" or run.diverged]
    by_name = {names[group.about["key"]]: group for group in make_groups(ended, [])}
    return {name: by_name[name] for name in contest["sides"] if name in by_name}


def contest_table(contest: Contest, sides: Sides) -> list[list[str]]:
    """A header, a row a side in the contest's order, the untrained ones, and the floor.

    Scores are the mean ± std over seeds.
    """
    names = compared_scores(sides)
    rows = [head(names)]
    for side, group in sides.items():
        scores = [_show(name, group.score(str(name))) for name in names]
        rows.append([side, *scores, *length(contest["sides"][side], group)])
    for side in sides:
        known = contest["sides"][side]["untrained"]
        scores = [_show(name, known.get(str(name))) for name in names]
        rows.append([f"{side}, untrained", *scores, *[""] * len(LENGTH)])
    return [*rows, floor_row(names, sides)]


def head(names: Sequence[ScoreName]) -> list[str]:
    """A table's header: the scores, then what `length` gives."""
    titles = [f"{METRICS[name.metric].title}{METRICS[name.metric].arrow}" for name in names]
    return ["", *titles, *LENGTH]


def length(rung: Rung, group: Group) -> list[str]:
    """How long a side was trained, how large it is, how often, and what went wrong."""
    sizes = f"{rung['steps']:,}", f"{rung['milliseconds']:.0f}", f"{rung['parameters']:,}"
    return [*sizes, str(len(group.ended)), trouble(group)]


def floor_row(names: Sequence[ScoreName], sides: Sides) -> list[str]:
    """The same scores of other real pictures."""
    known = next((run.scores for group in sides.values() for run in group.runs), {})
    shown = [_show(name, known.get(str(name.as_floor))) for name in names]
    return ["other real pictures", *shown, *[""] * len(LENGTH)]


def compared_scores(sides: Sides) -> list[ScoreName]:
    """The scores of the largest N on held-out pictures."""
    keys = (key for group in sides.values() for run in group.runs for key in run.scores)
    names = sample_scores(keys, "test")
    return [name for name in names if (name.n, name.extractor) == (names[0].n, names[0].extractor)]


def trouble(group: Group) -> str:
    """In how many trainings what went wrong."""
    steady = [run.summary.get("stability", {}) for run in group.ended]
    counts = {
        "diverged": len(group.failed),
        "collapsed": sum(collapses(group)),
        "saturated": sum(one.get("saturated_epochs", 0.0) > 0 for one in steady),
    }
    return ", ".join(f"{what} {n} of {len(group.ended)}" for what, n in counts.items() if n)


def said(claims: Claims, contest: Contest, sides: Sides) -> Iterator[str]:
    """Who comes nearest to held-out pictures, what of it is training, and who else is better."""
    nearest, others = "", list[str]()
    for name in sorted(compared_scores(sides), key=lambda name: name.metric != RANKED_BY):
        metric = METRICS[name.metric]
        scored = {side: group.score(str(name)) for side, group in sides.items()}
        samples = {side: sample for side, sample in scored.items() if sample}
        order = sorted(samples, key=lambda side: -metric.sign * samples[side].mean)
        if name.metric == RANKED_BY and order:
            nearest = order[0]
            if len(order) > 1:
                yield from _winner(claims, contest, name, order, samples)
        elif order and nearest in samples:
            recall = sides[order[0]].score(str(replace(name, metric="recall")))
            if not no_merit(name.metric, recall):
                others += _better(claims, name, order[0], samples[order[0]], samples[nearest])
    if others:
        yield f"Against it: {listed(others)}."


def _better(
    claims: Claims, name: ScoreName, side: str, best: Sample, other: Sample
) -> Iterator[str]:
    """That a side has a better score than the nearest one, where that is shown."""
    if best.mean == other.mean:
        return
    metric = METRICS[name.metric]
    tested = claims.compare(best, other, metric.is_distance)
    if tested.differ or tested.p is None:
        numbers = f"{best.show(metric.digits)} against {other.show(metric.digits)}"
        yield f"{side} has the better {metric.title} ({numbers}, {tested.basis})"


def _winner(
    claims: Claims, contest: Contest, name: ScoreName, order: list[str], samples: dict[str, Sample]
) -> Iterator[str]:
    first, second = samples[order[0]], samples[order[1]]
    metric = METRICS[name.metric]
    tests = [(side, claims.compare(first, samples[side], metric.is_distance)) for side in order[1:]]
    lead = Lead.of(tests)
    sure = lead.basis if lead.second.p is not None else "too few seeds of both to tell"
    sure += ": not proven" * (lead.second.p is not None and not lead.second.differ)
    yield (
        f"After {minutes(contest)} each, {order[0]} comes nearest to the held-out "
        f"pictures by {metric.title}: {first.show(metric.digits)}, next {order[1]} with "
        f"{second.show(metric.digits)} ({sure})."
    )
    untrained = contest["sides"][order[0]]["untrained"].get(str(name))
    if untrained and untrained > 0:
        yield (
            f"The untrained network of {order[0]} has {untrained:.{metric.digits}f}: training "
            f"leaves {max(0.0, first.mean / untrained):.0%} of that."
        )
    yield from _worse_than_untrained(contest, name, samples)


def _worse_than_untrained(
    contest: Contest, name: ScoreName, samples: dict[str, Sample]
) -> Iterator[str]:
    """Whom this training took away from the pictures."""
    metric = METRICS[name.metric]
    worse = []
    for side, sample in samples.items():
        untrained = contest["sides"][side]["untrained"].get(str(name))
        if untrained is not None and metric.sign * (sample.mean - untrained) < 0:
            worse.append(f"{side} ({sample.show(metric.digits)} against {metric.show(untrained)})")
    if worse:
        are = "is" if len(worse) == 1 else "are"
        yield (
            f"By {metric.title}, {listed(worse)} {are} farther from the held-out pictures than "
            "before the first step: so short a training says little of them."
        )


def _show(name: ScoreName, score: Sample | float | None) -> str:
    metric = METRICS[name.metric]
    if isinstance(score, Sample):
        return score.show(metric.digits)
    return "none" if score is None else metric.show(score)


def _figures(sides: Sides) -> list[Drawing]:
    """A row of samples of each side's first seed."""
    rows: dict[str, np.ndarray] = {}
    for side, group in sides.items():
        if group.runs and kept_arrays(group.runs[0], "pictures", "samples"):
            rows[side] = array(group.runs[0], "pictures", "samples")[:STRIP]
    if len({some.shape for some in rows.values()}) != 1:
        return []
    caption = f"{STRIP} samples of each side's first seed, from above: {'; '.join(rows)}."
    draw = partial(tiled, np.stack(list(rows.values())))
    return [Drawing("contest", caption, draw)]
