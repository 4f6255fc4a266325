"""numbers.json: the numbers behind the report's sentences, a row a run, a trial, a contest."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.files import write_json
from genbench.record import Record, Study
from genbench.record.reading import WHERE
from genbench.report.group import Group, field_roles
from genbench.report.part import Part

KEPT = ("status", "seconds", "best_epoch", "scores", "stability", "events")  # of summary.json
FOUND = ("sampler", "scores", "memorization", "likelihood", "classes")  # of evaluations.jsonl
SEARCHED = ("model", "data", "epochs", "objectives", "directions", "best", "again")  # of a study
TRIED = ("number", "state", "values", "params", "defaults")  # of its trials


def write_numbers(parts: Sequence[Part], folder: Path) -> None:
    """Write numbers.json: each run's seed, hyper-parameters, scores and evaluations, no place.

    A configuration is told by `model` and `key`; its runs differ in their seed alone. `best` and
    `last` are the validation scalars of the best epoch and of the last one, `train` its training
    means of the same names. Of searches their trials, of contests the steps of each side.
    """
    runs = {run.path.name: run for part in parts for run in _runs(part)}
    rows = {name: _row(run) for name, run in sorted(runs.items())}
    studies = {study["name"]: _searched(study) for part in parts for study in part.studies}
    contests = {contest["name"]: contest for part in parts for contest, _ in part.contests}
    write_json(folder / "numbers.json", {"runs": rows, "studies": studies, "contests": contests})


def _runs(part: Part) -> Iterator[Record]:
    """All runs that a part may speak of."""
    groups: list[Group] = [
        *part.groups,
        *(group for pair in part.finals.values() for group in pair),
    ]
    groups += [group for found in part.series.values() for group in found]
    groups += [group for _, sides in part.contests for group in sides.values()]
    for group in groups:
        yield from group.ended
    for one in part.evaluated:
        yield from one.runs


def _searched(study: Study) -> dict[str, Any]:
    told: Mapping[str, Any] = study
    trials: Sequence[Mapping[str, Any]] = study["trials"]
    tried = [{name: trial[name] for name in TRIED if name in trial} for trial in trials]
    return {name: told[name] for name in SEARCHED if name in told} | {"trials": tried}


def _row(run: Record) -> dict[str, Any]:
    shown = [name for name, role in field_roles(run.model).items() if role.key]
    summary: dict[str, Any] = {**run.summary}
    judged = {math.ceil(row["epoch"]): row for row in run.metrics() if row["split"] == "val"}
    last = judged.get(max(judged, default=0), {})
    means = {name: run.last_epoch("train", name) for name in last if name not in WHERE}
    return {
        "model": run.model,
        "key": run.about["key"],
        "seed": run.config["seed"],
        "config": {name: run.config[name] for name in shown if name in run.config},
        **{name: summary[name] for name in KEPT if name in summary},
        "best": judged.get(summary.get("best_epoch", 0), {}),
        "last": last,
        "train": {name: value for name, value in means.items() if value is not None},
        "evaluations": [
            {name: value for name, value in line.items() if name in FOUND}
            for line in run.evaluations()
        ],
    }
