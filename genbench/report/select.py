"""Which runs a report speaks of: one data set and one likelihood, the best group a model."""

import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from genbench import UserError
from genbench.records import Record, read_runs, read_studies

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


@dataclass(frozen=True)
class Entry:
    """One model's chosen configuration: its runs, one a training seed."""

    model: str
    runs: list[Record]
    split: str  # of the scores: the same for every entry of a chapter
    chosen_by: dict[str, Any] | None  # the study whose winner these runs are
    study: dict[str, Any] | None  # that study, else the model's last with one objective
    pareto: dict[str, Any] | None  # the model's last with two

    @property
    def title(self) -> str:
        """The model's name in text."""
        return TITLES[self.model]

    def score(self, name: str) -> Score | None:
        """A scalar of the held-out split, or `seconds`, `best_epoch`."""
        values = [_value(run, name, self.split) for run in self.runs]
        found = [value for value in values if value is not None]
        if not found or len(found) < len(values):
            return None
        std = statistics.stdev(found) if len(found) > 1 else None
        return Score(statistics.mean(found), std)


@dataclass(frozen=True)
class Chapter:
    """All that a report says: the chosen entries, and what was left out."""

    runs_dir: str
    data: str
    split: str  # of the scores: test if every run was tested, else val
    entries: list[Entry]
    counts: dict[str, int]
    left_out: list[str] = field(default_factory=list)

    def entry(self, model: str) -> Entry | None:
        """The entry of a model, if it was trained."""
        return next((entry for entry in self.entries if entry.model == model), None)


def choose(runs_dir: str, data: str = "") -> Chapter:
    """Pick the data set with the most finished runs (or `data`) and each model's best group.

    A group is the runs that differ in their seed alone. Tested groups come before others, then
    those with more seeds (up to three), then the better validation score.

    Raises:
        UserError: There is no finished run to report on.
    """
    records = read_runs(runs_dir)
    finished = [r for r in records if r.status == "finished" and r.about.get("model") in MODELS]
    if data:
        finished = [r for r in finished if r.config["data"] == data]
    if not finished:
        what = f"finished run on {data}" if data else "finished run"
        raise UserError(f"runs_dir={runs_dir}: no {what} to report on; train one first")
    rulers = Counter(_ruler(r.config) for r in finished)
    ruler = rulers.most_common(1)[0][0]
    mine = [r for r in finished if _ruler(r.config) == ruler]
    studies = [s for s in read_studies(runs_dir) if _ruler(s["base"]) == ruler]
    groups = {m: _best_group([r for r in mine if r.about["model"] == m]) for m in MODELS}
    split = "test" if all(r.tested for runs in groups.values() for r in runs) else "val"
    entries = [
        _entry(runs, split, [s for s in studies if s["model"] == model])
        for model, runs in groups.items()
        if runs
    ]
    counts = Counter(r.status for r in records)
    left_out = [f"{n} runs on {', '.join(one)}" for one, n in rulers.items() if one != ruler]
    return Chapter(str(runs_dir), ruler[0], split, entries, dict(counts), left_out)


def _ruler(config: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(config.get(name, "none")) for name in RULER)


def _best_group(records: list[Record]) -> list[Record]:
    """The runs of the best group, one a seed, by seed."""
    groups: dict[tuple[str, bool], dict[int, Record]] = defaultdict(dict)
    for record in records:
        groups[record.about["key"], record.tested][record.config["seed"]] = record
    if not groups:
        return []

    def rank(runs: dict[int, Record]) -> tuple[bool, int, float]:
        records = list(runs.values())
        name, direction = records[0].about["objective"], records[0].about["direction"]
        mean = statistics.mean(r.scores[name] for r in records)
        better = mean if direction == "maximize" else -mean
        return records[0].tested, min(len(records), 3), better

    best = max(groups.values(), key=rank)
    return [best[seed] for seed in sorted(best)]


def _value(record: Record, name: str, split: str) -> float | None:
    if name in record.summary:
        return float(record.summary[name])
    value = record.scores.get(f"{split}/{name}")
    return None if value is None else float(value)


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
