"""Reading run folders and study files back, without torch or W&B."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from genbench import UserError


@dataclass(frozen=True)
class Record:
    """One run folder as it lies on disk; a run without summary.json still runs or crashed."""

    path: Path
    about: dict[str, Any]  # config.json
    summary: dict[str, Any]  # summary.json, empty if there is none

    @property
    def config(self) -> dict[str, Any]:
        """The flat configuration."""
        return self.about["config"]

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

    def metrics(self) -> list[dict[str, Any]]:
        """The scalars of metrics.jsonl; torn lines are left out. They are read once."""
        return self._metrics

    def evaluations(self) -> list[dict[str, Any]]:
        """The lines of evaluations.jsonl, one a `genbench evaluate`. They are read once."""
        return self._evaluations

    @cached_property
    def _metrics(self) -> list[dict[str, Any]]:
        rows = [row for row in self._lines("metrics.jsonl") if "file" not in row]
        return [{k: v if k == "split" else float(v) for k, v in row.items()} for row in rows]

    @cached_property
    def _evaluations(self) -> list[dict[str, Any]]:
        return self._lines("evaluations.jsonl")

    def _lines(self, name: str) -> list[dict[str, Any]]:
        path, lines = self.path / name, []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return lines

    def curve(self, split: str, name: str) -> tuple[list[float], list[float]]:
        """Epochs and values of a scalar."""
        rows = [r for r in self.metrics() if r["split"] == split and name in r]
        return [r["epoch"] for r in rows], [r[name] for r in rows]

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
    about = _read(folder / "config.json")
    return Record(folder, about, _read(folder / "summary.json")) if "config" in about else None


def read_studies(runs_dir: str | Path) -> list[dict[str, Any]]:
    """All studies below `runs_dir`, the one that changed last at the end."""
    files = sorted(
        Path(runs_dir).expanduser().glob("studies/*.json"), key=lambda path: path.stat().st_mtime
    )
    return [study for path in files if (study := _read(path))]


def finished(
    runs_dir: str | Path,
    key: str,
    seed: int,
    commit: str | None,
    tested: bool = True,
    or_diverged: bool = False,
) -> Record | None:
    """The finished run with this key (`Config.key`), seed and commit, tested or not.

    A run that diverged would diverge again; `or_diverged` takes it for done.
    """
    if not Path(runs_dir).expanduser().is_dir():
        return None
    for record in read_runs(runs_dir):
        about = record.about
        same = (about.get("key"), about.get("commit"), record.config["seed"]) == (key, commit, seed)
        ended = record.status == "finished" and record.tested == tested
        failed = or_diverged and record.diverged and record.config.get("test") == tested
        if same and (ended or failed):
            return record
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
