"""What W&B is told of a search: a run of its own beside its trials, by its file in studies/."""

import hashlib
import math
from pathlib import Path
from typing import Any

from genbench import environment
from genbench.files import to_json
from genbench.record.reading import Row
from genbench.record.shapes import Study, Trial
from genbench.record.source import tags_of
from genbench.record.studies import read_study

FACTS = ("model", "data", "epochs", "objectives", "directions", "space")


def study_at(folder: Path) -> Study | None:
    """The search whose folder this is: of its file runs/studies/NAME.json, runs/studies/NAME."""
    file = folder.parent / f"{folder.name}.json"
    is_one = folder.parent.name == "studies" and file.is_file()
    return read_study(file)[0] if is_one else None


def of_search(study: Study) -> Row:
    """What W&B is told of a search before its trials; a study begun elsewhere is another run."""
    where, name = study.get("wandb", {}), study["name"]
    first = [trial.get("run") for trial in study["trials"][:1]]
    digest = hashlib.sha256(to_json({"first": first}).encode()).hexdigest()[:4]
    return {
        "id": f"{name}-{digest}"[-environment.LONGEST_ID :],
        "name": where.get("name") or f"search {name}",
        "notes": where.get("notes"),
        "tags": list(dict.fromkeys([study["model"], study["data"], *tags_of(where.get("tags"))])),
        "job_type": "search",
        "project": where.get("project") or environment.wandb_project(),
        "entity": where.get("entity") or None,
        "group": name,
        "config": {fact: study[fact] for fact in FACTS},  # type: ignore[literal-required]
    }


def trials_of(study: Study) -> tuple[list[Row], list[str | int], list[list[Any]]]:
    """A search's progress, a row a completed trial; and its trials as a table."""
    sign = 1 if study["directions"][0] == "maximize" else -1
    best, rows = -math.inf, []
    for trial in study["trials"]:
        if trial["state"] == "COMPLETE" and trial["values"]:
            best = max(best, sign * trial["values"][0])
            values = {"search/value": trial["values"][0], "search/best": sign * best}
            rows.append({"step": trial["number"], **values})
    names = list(study["space"])
    columns = ["trial", "state", *study["objectives"], *names, "seconds", "run"]
    return (
        rows,
        [*columns],
        [_cells(trial, study["objectives"], names) for trial in study["trials"]],
    )


def _cells(trial: Trial, objectives: list[str], names: list[str]) -> list[Any]:
    values = dict(zip(objectives, trial["values"] or (), strict=False))
    params = [trial["params"].get(name) for name in names]
    ends = [trial.get("seconds"), trial.get("run")]
    return [
        trial["number"],
        trial["state"].lower(),
        *(values.get(name) for name in objectives),
        *params,
        *ends,
    ]


def end_of(study: Study) -> Row:
    """Its summary: the best trial, its values by their plain names, its hyper-parameters."""
    states = [trial["state"] for trial in study["trials"]]
    counts = {state.lower(): states.count(state) for state in ("COMPLETE", "PRUNED", "FAIL")}
    found: Row = {"status": "finished", "trials": len(states), "ended": counts}
    for trial in study["trials"]:
        if trial["number"] == study["best"]:
            found |= dict(zip(study["objectives"], trial["values"] or (), strict=False))
            found |= {"best_trial": trial["number"], "best_run": trial.get("run")}
            found |= {f"best/{name}": value for name, value in trial["params"].items()}
    return found
