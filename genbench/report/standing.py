"""The rows of the first table: every model of a data set, scored in one way."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from genbench.metrics.names import SPLITS, ScoreName, short_name
from genbench.metrics.protocol import Protocol
from genbench.metrics.table import METRICS, RANKED_BY
from genbench.report.evaluated import Evaluated
from genbench.report.group import Group
from genbench.report.part import Part
from genbench.stats import Sample

SPLIT_ORDER = ("val", "train", "test")  # the later ones say more


@dataclass(frozen=True)
class Way:
    """How samples were scored: at the end of training, or by `genbench evaluate` (`protocol`)."""

    split: str
    extractor: str
    n: int  # pictures a side
    size: int  # of a picture
    reals: str  # start of the hash of the data, or of the real pictures
    protocol: Protocol | None = None

    def __str__(self) -> str:
        """A sentence."""
        if self.protocol:
            n, reals = self.protocol.n, self.protocol.title
            return f"Samples are scored by `genbench evaluate`: {n} against {n} {reals}."
        size = f" of {self.size} px" if self.size else ""
        return (
            f"Samples are scored at the end of each training: {self.n} against {self.n} "
            f"{SPLITS[self.split]} pictures{size} by {self.extractor}."
        )


@dataclass(frozen=True)
class Row:
    """A model in the table.

    title: Its name; that of what its samples are drawn from.
    group: Its trainings.
    evaluated: What `genbench evaluate` found of it, if it did.
    samples: Scores of its samples in the table's way: values, and as they are shown.
    """

    title: str
    group: Group
    evaluated: Evaluated | None = None
    samples: Mapping[str, Sample] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)

    def score(self, name: str) -> Sample | None:
        """A score of samples, a scalar of the test split, or `best/x` of the best epoch."""
        if name in METRICS:
            return self.samples.get(name)
        return self.group.score(name if "/" in name else f"test/{name}")

    @property
    def rank(self) -> tuple[bool, float]:
        """By KID; those without at the end, by how well they reconstruct."""
        sample, other = self.samples.get(RANKED_BY), self.score("bce")
        known = sample is not None and not math.isnan(sample.mean)
        return not known, sample.mean if sample and known else other.mean if other else math.inf


def rows_of(parts: Sequence[Part]) -> tuple[list[Row], dict[str, float], Way | None]:
    """All models, the best first, scored in the way that most of them were; its floor."""
    groups = [group for part in parts for group in part.groups]
    evaluated = [one for part in parts for one in part.evaluated]
    ways = Counter(way for group in groups for way in set(_ways(group)))
    ways += Counter(
        _by_evaluation(scores.protocol)
        for one in evaluated
        for scores, _ in one.scores()
        if RANKED_BY in scores.values
    )
    way = max(
        ways,
        key=lambda w: (ways[w], SPLIT_ORDER.index(w.split), w.n, w.protocol is not None),
        default=None,
    )
    by_key = {_key(group): group for group in groups}
    models = []
    for one in evaluated:
        group = by_key.get(_key(one), Group(runs=one.runs, side=one.side))
        models.append(Row(one.title if one.prior else group.full_title, group, one))
    known = {_key(one) for one in evaluated}
    models += [Row(group.full_title, group) for group in groups if _key(group) not in known]
    rows, floor = [], dict[str, float]()
    for row in _told_apart(models):
        scored = _evaluated(row, way) if way and way.protocol else _trained(row, way)
        rows.append(scored[0])
        floor = floor or scored[1]
    return sorted(rows, key=lambda row: row.rank), floor, way


def _told_apart(rows: list[Row]) -> list[Row]:
    """With what they were trained for in the titles that are not unique, then with their keys."""
    for tell in (_purpose, lambda group: _key(group)[1]):
        titles = Counter(row.title for row in rows)
        told = [tell(row.group) if titles[row.title] > 1 else "" for row in rows]
        rows = [
            replace(row, title=f"{row.title}: {name}") if name else row
            for row, name in zip(rows, told, strict=True)
        ]
    return rows


def _purpose(group: Group) -> str:
    """What a configuration was trained for: by a search, in a series."""
    return "best of its search" if group.chosen_by else group.config.get("group") or ""


def _key(one: Evaluated | Group) -> tuple[str, str, str]:
    first = (one.ended if isinstance(one, Group) else one.runs)[0]
    return first.model, first.about["key"], first.about["data_hash"]


def _by_evaluation(protocol: Protocol) -> Way:
    extractor = short_name(protocol.extractor)
    return Way(protocol.split, extractor, protocol.n, protocol.size, protocol.reals, protocol)


def _ways(group: Group) -> Iterator[Way]:
    """In which ways the samples of its trainings were scored at their end."""
    for key in {key for run in group.runs for key in run.scores}:
        name = ScoreName.parse(key)
        if name.metric == RANKED_BY and name.is_sample_score and not name.floor and name.split:
            size, reals = (group.about.get("shape") or [0])[-1], group.about["data_hash"]
            yield Way(name.split, name.extractor, name.n, size, reals)


def _evaluated(row: Row, way: Way) -> tuple[Row, dict[str, float]]:
    for scores, floor in row.evaluated.scores() if row.evaluated else ():
        if scores.protocol == way.protocol:
            values = {name: scores.sample(name) for name in scores.values}
            if scores.over != "training seeds":  # draws of one training tell nothing of others
                values = {name: Sample.of([sample.mean]) for name, sample in values.items()}
            shown = {name: scores.show(name) for name in scores.values}
            return replace(row, samples=values, shown=shown), dict(floor)
    return row, {}


def _trained(row: Row, way: Way | None) -> tuple[Row, dict[str, float]]:
    """The row with its scores of the end of training, unless it is a density fitted to codes."""
    fitted = row.evaluated is not None and row.evaluated.prior
    if way is None or fitted or way not in _ways(row.group):
        return row, {}
    values, floor = {}, {}
    for metric in METRICS:
        name = ScoreName(metric, way.split, False, way.extractor, way.n)
        if sample := row.group.score(str(name)):
            values[metric] = sample
        if real := row.group.score(str(name.as_floor)):
            floor[metric] = real.mean
    shown = {name: sample.show(METRICS[name].digits) for name, sample in values.items()}
    return replace(row, samples=values, shown=shown), floor
