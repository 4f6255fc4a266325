"""What is unfinished, damaged, torn or left behind below a runs folder."""

import os
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from genbench.environment import cache_folder
from genbench.record import is_running
from genbench.record.reader import look_at_run, problems_of
from genbench.record.studies import read_study

Row = list[str]  # what it is of, what was found, what to do
ALIVE_SECONDS = 600.0  # a file that was changed since may be in the making
LEFT_BEHIND = re.compile(r".+\.([0-9a-f]{8}|room)\.part")  # what `genbench.files` writes first
HALF_CHECKPOINT = re.compile(r"tmp[a-z0-9_]{8}")  # what Ignite's DiskSaver does
INSIDE = ("checkpoints", "samples")  # a run's folder
REMEDIES = {
    "config.json": "restore it, else delete the folder: nothing reads the run",
    "summary.json": "the rest is read; genbench resume of an unfinished run writes it anew",
    "metrics.jsonl": "nothing: the other lines are read",
    "evaluations.jsonl": "genbench evaluate the run again",
    "pictures.npz": "nothing: the report does without",
    "latents.npz": "nothing: the report does without",
}


def look_into(folder: Path, clean: bool) -> list[Row]:
    """A row for everything in a runs folder that somebody may want to do something about.

    Raises:
        OSError: The folder cannot be listed.
    """
    rows: list[Row] = []
    for run in sorted(path for path in folder.iterdir() if path.is_dir()):
        rows += [*_ending(run), *_damage(run), *_checkpoints(run)]
    for study in sorted(folder.glob("studies/*.json")):
        problems = read_study(study)[1]
        rows += [
            _damaged(study, problem, "the same search again writes it") for problem in problems
        ]
    left = [*leftovers(folder), *leftovers(cache_folder())]
    return rows + [_leftover(path, clean) for path in left if not _is_held(path)]


def _ending(run: Path) -> Iterator[Row]:
    """Whether a run is unfinished, and whether it still runs."""
    record, _ = look_at_run(run)
    if not record:
        if not (run / "config.json").exists() and (run / "metrics.jsonl").exists():
            running = is_running(run)
            remedy = "wait" if running else "delete the folder: it was killed before its first step"
            yield [run.name, "running" if running else "unfinished, no config.json", remedy]
        return
    if record.status in ("finished", "pruned"):
        return
    found = record.status
    if record.summary.get("error"):
        found += f": {record.summary['error'].splitlines()[0]}"
    if is_running(run):
        yield [run.name, "running", "wait"]
    elif record.diverged:
        yield [run.name, found, "nothing: it would diverge again; try a smaller --lr"]
    else:
        remedy = f"genbench resume {run}"
        whole = any(zipfile.is_zipfile(path) for path in run.glob("checkpoints/*.pt"))
        yield [run.name, found, remedy if whole else f"{remedy} begins it anew: no checkpoint"]


def _damage(run: Path) -> Iterator[Row]:
    """What is damaged in its records."""
    for problem in problems_of(run):
        file = next(name for name in REMEDIES if problem.startswith(str(run / name)))
        yield _damaged(run / file, problem, REMEDIES[file])


def _damaged(path: Path, problem: str, remedy: str) -> Row:
    told = problem.removeprefix(str(path)).removeprefix(":").strip()
    told = re.sub(r"^(\d+):", r"line \1:", told)
    return [path.parent.name, f"{path.name} damaged: {told}", remedy]


def _checkpoints(run: Path) -> Iterator[Row]:
    """Checkpoints that are torn: the directory of a zip file stands at its end."""
    paths = sorted(run.glob("checkpoints/*.pt"))
    torn = [path for path in paths if not zipfile.is_zipfile(path)]  # also what cannot be read
    rest = "the other one serves" if len(torn) < len(paths) else "the run can begin anew"
    for path in torn:
        yield [run.name, f"checkpoints/{path.name} is torn", f"delete it: {rest}"]


def _is_held(path: Path) -> bool:
    """Whether it lies in the folder of a run that still runs."""
    return is_running(path.parent) or is_running(path.parent.parent)


def leftovers(place: Path) -> Iterator[Path]:
    """What killed writers left below a folder; W&B's own files are its own."""
    for parent, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if name != "wandb")
        checkpoints = os.path.basename(parent) == "checkpoints"
        for name in sorted(names):
            half = checkpoints and HALF_CHECKPOINT.fullmatch(name)
            if half or LEFT_BEHIND.fullmatch(name):
                yield Path(parent) / name


def _leftover(path: Path, clean: bool) -> Row:
    """Half a file: removed if that is asked for and nobody can be writing it."""
    name = path.parent.parent.name if path.parent.name in INSIDE else path.parent.name
    try:
        status = path.stat(follow_symlinks=False)
        age = time.time() - status.st_mtime
        found = f"{path}: {status.st_size / 1e6:.1f} MB, left by a killed writer"
        if age < ALIVE_SECONDS:
            return [name, f"{path}: half written", f"wait: it was changed {age:.0f} s ago"]
        if not clean:
            return [name, found, "genbench doctor --clean removes it"]
        path.unlink()
    except FileNotFoundError:
        return [name, f"{path}: gone by now", "nothing"]
    except OSError as error:
        return [name, f"{path}: {error.strerror}", "delete it yourself"]
    return [name, found, "removed"]
