"""What the page shows of a runs folder, brought up to date by reading what has changed."""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from genbench.console import first_line
from genbench.record import Record, is_running
from genbench.record.reader import look_at_run
from genbench.record.reading import last_rows
from genbench.record.source import Tail
from genbench.record.studies import read_study

BUDGET = 0.5  # seconds that one look reads for; what is left comes with the next
FILES = ("config.json", "summary.json", "metrics.jsonl", "evaluations.jsonl")


@dataclass
class Entry:
    """A run or a study: what it was read from, and what was read."""

    stamp: Any
    version: int
    row: dict[str, Any]
    record: Record | None = None
    tail: Tail | None = None  # over the log, for the files that it names
    files: set[str] = field(default_factory=set)


class Store:
    """The runs and studies of a folder. A `version` counts the changes that were seen."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.version = 0
        self.session = f"{os.getpid()}-{time.time_ns()}"  # a page of an earlier server starts anew
        self._runs: dict[str, Entry] = {}
        self._studies: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def changes(self, since: int, session: str) -> dict[str, Any]:
        """The rows that changed after version `since`; all of them to another session.

        `names` and `studies` are all that there are; `more` says that some were not read yet.
        """
        with self._lock:
            there = self.folder.is_dir()
            more = self._look() if there else self._forget()
            since = since if session == self.session else 0
            return {
                **{"session": self.session, "version": self.version, "more": more},
                **{"folder": str(self.folder), "there": there, "names": list(self._runs)},
                "runs": [e.row for e in self._runs.values() if e.version > since],
                "studies": [e.row for e in self._studies.values()],
            }

    def record(self, name: str) -> Record:
        """A run's record, as it lies there now; `KeyError` for what is none."""
        entry = self._entry(name)
        if entry.record is None:
            raise KeyError(name)
        return look_at_run(entry.record.path)[0] or entry.record

    def study(self, name: str) -> tuple[dict[str, Any], Any]:
        """What the list shows of a study, and the study."""
        with self._lock:
            row = self._studies[name].row
        return row, read_study(self.folder / "studies" / f"{name}.json")[0]

    def picture(self, name: str, file: str) -> Path:
        """A picture that a run's record names; `KeyError` for any other file."""
        entry = self._entry(name)
        folder = self.folder / name
        path = folder / file
        if path.suffix != ".png" or file not in self._named(entry, folder):
            raise KeyError(file)
        if not self.inside(path) or not path.is_file():
            raise KeyError(file)
        return path

    def _named(self, entry: Entry, folder: Path) -> set[str]:
        with self._lock:
            if entry.tail is None:
                entry.tail = Tail(folder)
            entry.files |= {row["file"] for row in entry.tail.rows() if "file" in row}
            for path in entry.record.grids().values() if entry.record else ():
                entry.files.add(f"samples/{path.name}")
            return entry.files

    def inside(self, path: Path) -> bool:
        """Whether a file lies below the runs folder, also by its links."""
        return path.resolve().is_relative_to(self.folder.resolve())

    def _entry(self, name: str) -> Entry:
        with self._lock:
            if name not in self._runs and self.folder.is_dir():
                self._look()
            return self._runs[name]

    def _forget(self) -> bool:
        self._runs.clear()
        self._studies.clear()
        return False

    def _look(self) -> bool:
        """Read what changed, for as long as the budget lasts; whether there is more."""
        until = time.monotonic() + BUDGET
        there = sorted(_folders(self.folder), reverse=True)  # the newest first
        stamps = {path.name: _stamp(path, FILES) for path in there}
        runs = {name: stamp for name, stamp in stamps.items() if stamp[0]}
        more = _update(self._runs, runs, self._read_run, until)
        files = (self.folder / "studies").glob("*.json")
        studies = {path.stem: _stamp(path.parent, (path.name,)) for path in files}
        return _update(self._studies, studies, self._read_study, until) or more

    def _read_run(self, name: str, stamp: Any) -> Entry:
        self.version += 1
        path = self.folder / name
        try:
            record, row = _run_row(path, stamp)
        except Exception as error:  # whatever lies there, the others are shown
            record, row = None, {"problems": [f"{path}: {first_line(error)}"]}
        row = {"status": "damaged", **row, "name": name, "version": self.version}
        entry, before = Entry(stamp, self.version, row, record), self._runs.get(name)
        if before and before.row.get("generation") == row.get("generation"):
            entry.tail, entry.files = before.tail, before.files
        return entry

    def _read_study(self, name: str, stamp: Any) -> Entry:
        self.version += 1
        study, problems = read_study(self.folder / "studies" / f"{name}.json")
        row: dict[str, Any] = {"file": name, "version": self.version, "problems": problems}
        if study:
            row |= {part: study[part] for part in ("name", "model", "data", "objectives")}
            row["trials"] = len(study["trials"])
        return Entry(stamp, self.version, row)


def _folders(folder: Path) -> Iterator[Path]:
    """Those in it that are no links."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)


def _stamp(folder: Path, files: tuple[str, ...]) -> Any:
    """What changes when one of these files does; a run that has not ended may end without one."""
    parts: list[Any] = []
    for name in files:
        try:
            status = os.lstat(folder / name)
        except OSError:
            parts.append(None)
            continue
        if not stat.S_ISREG(status.st_mode):
            return (f"{folder / name}: no file, or a link, which is not followed",)
        parts.append((status.st_mtime_ns, status.st_size))
    if files == FILES and parts[0] and not parts[1]:
        parts.append(is_running(folder))
    return tuple(parts)


def _update(
    entries: dict[str, Entry],
    stamps: dict[str, Any],
    read: Callable[[str, Any], Entry],
    until: float,
) -> bool:
    """Read the entries whose stamp changed, at least one; whether some were left."""
    for name in entries.keys() - stamps.keys():
        del entries[name]
    for name, stamp in stamps.items():
        if name not in entries or entries[name].stamp != stamp:
            entries[name] = read(name, stamp)
            if time.monotonic() > until:
                return any(n not in entries or entries[n].stamp != s for n, s in stamps.items())
    return False


def _run_row(path: Path, stamp: Any) -> tuple[Record | None, dict[str, Any]]:
    """A run's record, and what the table shows of it."""
    if isinstance(stamp[0], str):
        return None, {"problems": [stamp[0]]}
    record, problems = look_at_run(path)
    if record is None:
        return None, {"problems": problems}
    about, config = record.about, record.config
    objective, running = about.get("objective", ""), stamp[-1] is True
    ended = objective in record.scores
    epoch, so_far = _end(path / "metrics.jsonl", "" if ended else objective)
    status = "running" if running and record.status == "unfinished" else record.status
    return record, {
        **{"status": status, "model": record.model, "problems": problems, "config": config},
        **{"created": about.get("created", ""), "key": about.get("key", "")},
        **{"objective": objective, "direction": about.get("direction", "")},
        "group": (about.get("wandb") or {}).get("group") or config.get("group") or "",
        "data_hash": about.get("data_hash", ""),
        "epochs": epoch,
        "seconds": record.summary.get("seconds", _seconds(about.get("created", ""), stamp[2])),
        "score": record.scores.get(objective, so_far),
        "ended": ended,
        "log": stamp[2][1] if stamp[2] else 0,
        "generation": generation(path),
        "stamp": "-".join(str(part[0]) for part in stamp[1:4] if part),
    }


def generation(path: Path) -> str:
    """What changes when a run goes on, whose log is then cut back."""
    return str((path / "config.json").stat().st_mtime_ns)


def _seconds(created: str, log: tuple[int, int] | None) -> float | None:
    """From a run's beginning to its last log."""
    try:
        return log and max(0.0, log[0] / 1e9 - datetime.fromisoformat(created).timestamp())
    except ValueError:
        return None


def _end(log: Path, objective: str) -> tuple[float, float | None]:
    """The epoch that a log has come to, and the last value in it of a scalar, if one is asked for.

    It is read from its end, as far back as is read at once.
    """
    epoch, (split, _, scalar) = 0.0, objective.partition("/")
    for row in last_rows(log):
        epoch = max(epoch, row["epoch"])
        if not objective or (row["split"] == split and scalar in row):
            return epoch, row.get(scalar)
    return epoch, None
