"""Reading run folders and study files back, without torch or W&B.

Whoever wrote them: what is damaged is passed over with a line on stderr, once, and the rest counts.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from genbench import UserError
from genbench.console import say_once
from genbench.record import reading
from genbench.record.shapes import About, Contest, Evaluation, Study, Summary
from genbench.record.studies import read_contest, read_study

# what a report needs to know of a run that has ended
NEEDED = ("key", "objective", "direction", "data_hash", "parameters", "hardware", "threads")
NEEDED_WITHIN = {
    **{"config": ("data", "seed"), "images": ("train", "val"), "versions": ("genbench", "torch")}
}
T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """One run folder as it lies on disk; a run without summary.json still runs or crashed.

    `problems` say what is damaged in config.json and summary.json.
    """

    path: Path
    about: About  # config.json
    summary: Summary  # summary.json, empty if there is none
    problems: tuple[str, ...] = ()

    @property
    def config(self) -> dict[str, Any]:
        """The flat configuration."""
        return cast(dict[str, Any], self.about["config"])

    @property
    def model(self) -> str:
        """The name of its family, which need not be registered here."""
        return self.about.get("model", "")

    @property
    def status(self) -> str:
        """finished, pruned, failed, or unfinished: it still runs or crashed."""
        return self.summary.get("status", "unfinished")

    @property
    def scores(self) -> dict[str, float]:
        """The scalars of the best epoch, as `split/name`."""
        return self.summary.get("scores", {})

    @property
    def tested(self) -> bool:
        """Whether the test split was scored."""
        return any(name.startswith("test/") for name in self.scores)

    @property
    def diverged(self) -> bool:
        """Whether it failed because a scalar was no longer finite."""
        not_finite = self.summary.get("stability", {}).get("diverged", False)
        return self.status == "failed" and (
            not_finite or self.summary.get("error", "").startswith("Diverged")
        )

    @property
    def outcome(self) -> dict[str, float] | None:
        """The scores of a run that has ended; None of one that diverged."""
        return None if self.diverged else self.scores

    @property
    def disk_refused(self) -> bool:
        """Whether it failed because a file could not be written."""
        return self.summary.get("error", "").startswith("DiskError")

    @property
    def lacks(self) -> list[str]:
        """What config.json should say and does not, though a training writes it."""
        about = cast(dict[str, Any], self.about)
        missing = [name for name in NEEDED if name not in about]
        for part, names in NEEDED_WITHIN.items():
            missing += [f"{part}.{name}" for name in names if name not in about.get(part, {})]
        return missing

    def metrics(self) -> list[reading.Row]:
        """The scalars of metrics.jsonl, a row a log. The file is read once."""
        return self._metrics

    def media(self) -> list[reading.Row]:
        """Its pictures and tables: step, epoch, split, name and file."""
        return [row for row in self._log if "file" in row]

    def evaluations(self) -> list[Evaluation]:
        """The lines of evaluations.jsonl, one a `genbench evaluate`. They are read once.

        Not those of weights that it had before it went on.
        """
        lines = self._evaluations
        since = max((one.get("created", "") for one in self.about.get("resumed", [])), default="")
        dated = all("created" in line for line in lines)
        return [line for line in lines if line["created"] >= since] if dated else lines

    def arrays(self, archive: str) -> reading.Arrays:
        """The arrays of `pictures`.npz (of one size), or of `latents`.npz: z (N, D), labels, split,
        and in later records the pictures of the codes.

        A file is read once.
        """
        return self._pictures if archive == "pictures" else self._latents

    @cached_property
    def _pictures(self) -> reading.Arrays:
        return _said(reading.read_arrays(self.path / "pictures.npz", reading.check_picture_array))

    @cached_property
    def _latents(self) -> reading.Arrays:
        return _said(reading.read_arrays(self.path / "latents.npz", reading.check_latent_array))

    @cached_property
    def _log(self) -> list[reading.Row]:
        return _said(reading.read_lines(self.path / "metrics.jsonl", reading.parse_row))

    @cached_property
    def _metrics(self) -> list[reading.Row]:
        return [row for row in self._log if not row.keys() & {"file", "event"}]

    @cached_property
    def _evaluations(self) -> list[Evaluation]:
        return _said(reading.read_lines(self.path / "evaluations.jsonl", reading.parse_evaluation))

    def grids(self) -> dict[int, Path]:
        """The pictures of the samples of each epoch, by epoch."""
        paths = (self.path / "samples").glob("epoch-*.png")
        numbers = ((path.stem.removeprefix("epoch-"), path) for path in paths)
        return {int(n): path for n, path in numbers if n.isdecimal() and len(n) < 10}

    def curve(self, split: str, name: str) -> tuple[list[float], list[float]]:
        """Epochs and values of a scalar."""
        rows = [r for r in self.metrics() if r["split"] == split and name in r]
        return [r["epoch"] for r in rows], [r[name] for r in rows]

    @property
    def epochs_done(self) -> float:
        """How far it came, in epochs, by the end of metrics.jsonl alone."""
        return next((row["epoch"] for row in reading.last_rows(self.path / "metrics.jsonl")), 0.0)

    def last_epoch(self, split: str, name: str) -> float | None:
        """A scalar's mean over the last epoch, its rows weighted by the steps they stand for."""
        rows = [r for r in self.metrics() if r["split"] == split and name in r]
        before, total, steps = 0.0, 0.0, 0.0
        for row in rows:
            if row["epoch"] > rows[-1]["epoch"] - 1:
                total += row[name] * (row["step"] - before)
                steps += row["step"] - before
            before = row["step"]
        return total / steps if steps else None


def read_runs(runs_dir: str | Path) -> list[Record]:
    """All run folders below `runs_dir`, oldest first; damaged ones are passed over.

    Raises:
        UserError: There is no such folder.
    """
    folder = Path(runs_dir).expanduser()
    if not folder.is_dir():
        raise UserError(f"runs_dir={runs_dir}: no such folder; train first or name another")
    records = []
    for path in folder.glob("*/config.json"):
        if record := read_run(path.parent):
            records.append(record)
    return sorted(records, key=lambda record: record.about.get("created", ""))


def read_run(folder: Path) -> Record | None:
    """A run folder; None if it is none, or damaged."""
    record, problems = look_at_run(folder)
    return _said((record, problems))


def read_picture(path: Path) -> np.ndarray | None:
    """A picture of a run, (H, W) or (H, W, 3) `uint8`; None if it is damaged or not there."""
    return _said(reading.read_picture(path))


def look_at_run(folder: Path) -> tuple[Record | None, list[str]]:
    """The same in silence, and what is wrong with config.json and summary.json."""
    about, problems = reading.read_object(folder / "config.json", About)
    if about is None:
        return None, problems
    summary, more = reading.read_object(folder / "summary.json", Summary)
    problems += more
    return Record(folder, about, summary or {}, tuple(problems)), problems


def problems_of(folder: Path) -> list[str]:
    """A line for all that is damaged in a run folder; nothing is said."""
    readings: list[tuple[Any, list[str]]] = [
        look_at_run(folder),
        reading.read_lines(folder / "metrics.jsonl", reading.parse_row),
        reading.read_lines(folder / "evaluations.jsonl", reading.parse_evaluation),
        reading.read_arrays(folder / "pictures.npz", reading.check_picture_array),
        reading.read_arrays(folder / "latents.npz", reading.check_latent_array),
    ]
    return [problem for _, problems in readings for problem in problems]


def read_studies(runs_dir: str | Path) -> list[Study]:
    """All studies below `runs_dir`, the one that changed last at the end."""
    files = Path(runs_dir).expanduser().glob("studies/*.json")
    there = sorted((path for path in files if path.exists()), key=lambda path: path.stat().st_mtime)
    return [study for path in there if (study := _said(read_study(path)))]


def read_contests(runs_dir: str | Path) -> list[Contest]:
    """All contests below `runs_dir`."""
    paths = sorted(Path(runs_dir).expanduser().glob("contests/*.json"))
    return [contest for path in paths if (contest := _said(read_contest(path)))]


def finished(
    runs_dir: str | Path,
    key: str,
    seed: int,
    commit: str | None,
    tested: bool = True,
    or_diverged: bool = False,
    data_dir: str | None = None,
) -> Record | None:
    """The finished run with this key (`Config.key`), seed and commit (None: any), tested or not.

    A run that diverged would diverge again; `or_diverged` takes it for done. `data_dir`: where its
    pictures are, which is no part of the key; None: anywhere.
    """
    if not Path(runs_dir).expanduser().is_dir():
        return None
    for record in read_runs(runs_dir):
        about, of_seed = record.about, record.config.get("seed")
        same = (about.get("key"), of_seed) == (key, seed)
        same = same and commit in (None, about.get("commit"))
        same = same and data_dir in (None, record.config.get("data_dir"))
        ended = record.status == "finished" and record.tested == tested
        failed = or_diverged and record.diverged and record.config.get("test") == tested
        if same and (ended or failed):
            return record
    return None


def _said(read: tuple[T, list[str]]) -> T:
    """What was read; what is wrong with it is said, once in this process."""
    value, problems = read
    for problem in problems:
        say_once(f"{problem}; passed over")
    return value
