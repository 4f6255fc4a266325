"""Which runs a part of the report speaks of: of one kind, the best group a configuration."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from genbench.record import Record, read_runs, read_studies

MODELS = ("ae", "vae")
TITLES = {"ae": "AE", "vae": "VAE"}
# Scores under another value of these are of another kind and share no table.
RULER = ("data", "likelihood", "binarize")


@dataclass(frozen=True)
class Score:
    """Mean and standard deviation over training seeds; no deviation of a single one."""

    mean: float
    std: float | None

    def show(self, digits: int) -> str:
        """As text, `mean ± std`."""
        spread = "" if self.std is None else f" ± {self.std:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A configuration as a column of the tables: its finished runs, one a training seed."""

    runs: list[Record]
    failed: list[Record] = field(default_factory=list)  # of its seeds, those that have no scores
    chosen_by: dict[str, Any] | None = None  # the study whose winner these runs are

    @property
    def about(self) -> dict[str, Any]:
        """The first seed's config.json."""
        return (self.runs + self.failed)[0].about

    @property
    def config(self) -> dict[str, Any]:
        """The flat configuration, the same for every run but for the seed."""
        return self.about["config"]

    @property
    def title(self) -> str:
        """Its name above a column."""
        raise NotImplementedError

    @property
    def named(self) -> str:
        """Its name in a sentence, behind `the`."""
        return self.title

    def value(self, run: Record, name: str) -> float | None:
        """A scalar of one run, None where the record has none."""
        raise NotImplementedError

    def score(self, name: str) -> Score | None:
        """A scalar over the finished runs; None unless each of them has it."""
        values = [self.value(run, name) for run in self.runs]
        found = [value for value in values if value is not None]
        if not found or len(found) < len(values):
            return None
        std = statistics.stdev(found) if len(found) > 1 else None
        return Score(statistics.mean(found), std)


@dataclass(frozen=True, kw_only=True)
class Entry(Column):
    """An AE's or a VAE's chosen configuration."""

    model: str
    split: str  # of the scores: the same for every entry of a chapter
    study: dict[str, Any] | None  # the study that chose the runs, else the last with one objective
    pareto: dict[str, Any] | None  # the model's last with two

    @property
    def title(self) -> str:
        """The model's name in text."""
        return TITLES[self.model]

    def value(self, run: Record, name: str) -> float | None:
        """A scalar of the held-out split, or `seconds`, `best_epoch`."""
        found = run.summary.get(name, run.scores.get(f"{self.split}/{name}"))
        return None if found is None else float(found)


C = TypeVar("C", bound=Column)


@dataclass(frozen=True)
class Selection(Generic[C]):
    """All that a part of the report says: the chosen entries, and what was left out."""

    data: str
    split: str  # of the scores that entries are compared by, the same for all
    entries: list[C]
    counts: dict[str, int]  # runs in the folder by status
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Chapter(Selection[Entry]):
    """Part 1, AE and VAE. Its split is test if every run was tested, else val."""

    def entry(self, model: str) -> Entry | None:
        """The entry of a model, if it was trained."""
        return next((entry for entry in self.entries if entry.model == model), None)


def choose(runs_dir: str, data: str = "") -> Chapter | None:
    """Pick the data set with the most finished runs (or `data`) and each model's best group.

    A group is the runs that differ in their seed alone. Tested groups come before others, then
    those with more seeds (up to three), then the better validation score. None: there is no
    finished AE or VAE (on `data`).
    """
    records = [r for r in read_runs(runs_dir) if r.about.get("model") in MODELS]
    finished = [r for r in records if r.status == "finished" and data in ("", r.config["data"])]
    if not finished:
        return None
    rulers = Counter(ruler(r.config, RULER) for r in finished)
    mine = rulers.most_common(1)[0][0]
    chosen = [r for r in finished if ruler(r.config, RULER) == mine]
    studies = [s for s in read_studies(runs_dir) if ruler(s["base"], RULER) == mine]
    groups = {m: _best_group([r for r in chosen if r.about["model"] == m]) for m in MODELS}
    split = "test" if all(r.tested for runs in groups.values() for r in runs) else "val"
    entries = [
        _entry(runs, split, [s for s in studies if s["model"] == model])
        for model, runs in groups.items()
        if runs
    ]
    counts = Counter(r.status for r in records)
    return Chapter(mine[0], split, entries, dict(counts), left_out(rulers, mine, RULER))


def ruler(config: dict[str, Any], names: Iterable[str]) -> tuple[str, ...]:
    """The values of these fields as text."""
    return tuple(str(config.get(name, "none")) for name in names)


def left_out(
    rulers: Counter[tuple[str, ...]], mine: tuple[str, ...], names: Iterable[str]
) -> list[str]:
    """The runs under other rulers, in words: their data set and in what else they differ."""
    lines = []
    for other, n in rulers.items():
        values = zip(list(names)[1:], other[1:], mine[1:], strict=True)
        unlike = [f"{name}={value}" for name, value, ours in values if value != ours]
        given = f" with {', '.join(unlike)}" if unlike else ""
        if other != mine:
            lines.append(f"{n} {'run' if n == 1 else 'runs'} on {other[0]}{given}")
    return lines


def one_a_seed(records: Iterable[Record]) -> list[Record]:
    """By seed, and where a seed was run again the later run."""
    latest = {record.config["seed"]: record for record in records}
    return [latest[seed] for seed in sorted(latest)]


def _best_group(records: list[Record]) -> list[Record]:
    """The runs of the best group, one a seed, by seed."""
    groups: dict[tuple[str, bool], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.about["key"], record.tested].append(record)
    if not groups:
        return []

    def rank(runs: list[Record]) -> tuple[bool, int, float]:
        name, direction = runs[0].about["objective"], runs[0].about["direction"]
        mean = statistics.mean(r.scores[name] for r in runs)
        better = mean if direction == "maximize" else -mean
        return runs[0].tested, min(len(runs), 3), better

    return max(map(one_a_seed, groups.values()), key=rank)


def _entry(runs: list[Record], split: str, studies: list[dict[str, Any]]) -> Entry:
    """The runs with their model's studies."""
    about = runs[0].about
    chose = [s for s in studies if s["final_key"] == about["key"]]
    single = [s for s in studies if len(s["objectives"]) == 1]
    pareto = [s for s in studies if len(s["objectives"]) == 2]
    shown = chose or single
    return Entry(
        model=about["model"],
        runs=runs,
        split=split,
        chosen_by=chose[-1] if chose else None,
        study=shown[-1] if shown else None,
        pareto=pareto[-1] if pareto else None,
    )
