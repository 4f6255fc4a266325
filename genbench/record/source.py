"""What W&B is told of a run, read from the run's folder, which may still grow."""

import hashlib
from pathlib import Path
from typing import Any

from genbench import environment
from genbench.fields import words
from genbench.files import to_json
from genbench.record.reading import Row, read_object, row_or_none
from genbench.record.shapes import About, Dashboard, Summary

OURS = ("id", "wandb_run", "sweep", "created", "command", "dirty", "platform")  # of config.json
IDENTITY = ("model", "objective", "data_hash", "parameters", "extractor", "commit")
MACHINE = "machine"  # below it, in the configuration, is what does not tell experiments apart
PLACES = (*environment.PLACE, "project")  # fields that W&B itself has
MACHINES = (  # of a run that does not say which fields identify it
    *("data_dir", "log_every", "checkpoint_minutes", "test", "save", "device", "wandb"),
    *("runs_dir", "wandb_artifacts", *PLACES),
)


class Tail:
    """The rows of a metrics.jsonl that may still grow: each once, and whole lines only.

    `at` is the byte from which it is read next.
    """

    def __init__(self, folder: Path, at: int = 0):
        self._path, self.at = folder / "metrics.jsonl", at

    def rows(self, most: int = -1) -> list[Row]:
        """Those that were not there before, of so many bytes at most; without damaged lines."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self.at)
            read = file.read(most)
        whole, end, _ = read.rpartition(b"\n")
        if not end and len(read) == most:  # a line that long is none of ours
            self.at += most
        self.at += len(whole) + len(end)
        lines = whole.split(b"\n")
        rows = filter(None, map(row_or_none, lines))
        return [row | {"step": int(row["step"])} for row in rows]


def of_run(folder: Path) -> Row:
    """What W&B is told of a run, by its config.json."""
    about = _about(folder)
    where, sweep, page = about.get("wandb", {}), about.get("sweep", ""), dashboard_of(folder)
    group = where.get("group") or about["config"].get("group")
    if not group and sweep.startswith(environment.LOCAL_SWEEP):
        group = sweep.removeprefix(environment.LOCAL_SWEEP)
    return {
        "id": about.get("wandb_run") or _earlier_id(folder) or folder.name,
        "name": where.get("name") or page.get("name") or folder.name,
        "notes": where.get("notes"),
        "tags": list(dict.fromkeys(page.get("tags", []) + tags_of(where.get("tags")))),
        "job_type": where.get("job_type") or ("trial" if sweep else "train"),
        "project": where.get("project") or environment.wandb_project(),
        "entity": where.get("entity") or None,
        "group": group or None,
        "config": _columns(about, page.get("fields", [])),
    }


def tags_of(named: str | None) -> list[str]:
    """Tags, named by commas."""
    return words(named or "")


def _columns(about: Row, fields: list[str]) -> Row:
    """The configuration in W&B: what identifies the run first, all else below one name.

    A sweep's parameters are columns of its table whatever they are.
    """
    config = about["config"]
    facts = {k: v for k, v in about.items() if not isinstance(v, dict) and k not in OURS}
    shown = fields or [name for name in config if name not in MACHINES]
    if "sweep" in about:
        words = (word for word in about.get("command", []) if word.startswith("--"))
        shown = [*shown, *(word[2:].partition("=")[0] for word in words)]
    identity = {name: facts.pop(name) for name in IDENTITY if facts.get(name) is not None}
    columns: Row = {name: config[name] for name in dict.fromkeys(shown) if name in config}
    rest = {k: v for k, v in config.items() if k not in columns and k not in PLACES and v != ""}
    first: Row = {"model": identity.pop("model")} if "model" in identity else {}
    more = rest | {name: fact for name, fact in facts.items() if fact is not None}
    return first | columns | identity | {MACHINE: more}


def dashboard_of(folder: Path) -> Dashboard:
    """What its training wrote for W&B; of one that did not, which way its objective is better."""
    about = _about(folder)
    if "dashboard" in about:
        page: Dashboard = about["dashboard"]
        return page
    objective, direction = about.get("objective", ""), about.get("direction", "")
    known = objective.startswith("val/") and direction
    return {"better": {objective.removeprefix("val/"): direction}} if known else {}


def wants_artifact(folder: Path) -> bool:
    """Whether W&B is to have the run's checkpoints."""
    return bool(_about(folder)["config"].get("wandb_artifacts"))


def _earlier_id(folder: Path) -> str | None:
    """The id that W&B chose, by its own folder, for a run that genbench 0.1.0 recorded."""
    chosen = sorted(folder.glob("wandb/*run-*_*-*"), key=lambda path: path.name.split("run-")[1])
    return chosen[0].name.rpartition("-")[2] if chosen else None


def of_evaluation(folder: Path, scores: dict[str, float], sampler: str) -> Row:
    """What W&B is told of a finished run's later scores: a run of their own in its group.

    A model may be drawn from in several ways: `sampler` is the one that was scored.
    """
    run = of_run(folder)
    digest = hashlib.sha256(to_json(scores).encode()).hexdigest()[:8]
    config = run["config"] | {"run": folder.name, "sampler": sampler}
    name = f"{run['name']} evaluation, {sampler}"
    more = {"id": f"{run['id']}-evaluation-{digest}", "name": name, "job_type": "evaluation"}
    return run | more | {"config": config}


def settings_of(folder: Path) -> dict[str, Any]:
    """The sweep and the command line of a run, as W&B's settings; a local sweep is none to W&B."""
    about = _about(folder)
    sweep = about.get("sweep", environment.LOCAL_SWEEP)
    settings = {} if sweep.startswith(environment.LOCAL_SWEEP) else {"sweep_id": sweep}
    return settings | ({"program": about["command"][0]} if about.get("command") else {})


def summary_of(folder: Path) -> Row:
    """summary.json, or nothing."""
    return {**(read_object(folder / "summary.json", Summary)[0] or {})}


def _about(folder: Path) -> Row:
    return {"config": {}, **(read_object(folder / "config.json", About)[0] or {})}
