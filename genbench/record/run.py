"""The record of one training on disk, from which W&B is fed by a process of its own.

    runs/<id>/config.json     before the first step: configuration, code, versions, data, device
              metrics.jsonl   a line a log: step, epoch, split and its scalars, or a file's name
              samples/        pictures; pictures.npz and latents.npz for the report
              checkpoints/    best.pt and last.pt
              summary.json    last: status finished, pruned or failed; its absence means a crash
              wandb/          W&B's own record

Whatever W&B does, nothing is lost here, and nothing waits.
"""

import datetime
import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np
from PIL import Image

from genbench import UserError, environment
from genbench.files import (
    DiskError,
    append_line,
    locked,
    reserve,
    to_json,
    whole,
    writable,
    write_json,
    writing,
)
from genbench.record.feeding import feed
from genbench.record.provenance import provenance
from genbench.record.reader import Record
from genbench.record.shapes import Status

STOPPED = 128 + signal.SIGTERM  # how a sweep's agent ends a run early
_ids: set[str] = set()  # that runs of this process have in W&B


def is_running(folder: Path) -> bool:
    """Whether a process writes the record in this folder now."""
    try:
        with (folder / "metrics.jsonl").open("rb") as log:
            return not locked(log)
    except OSError:
        return False


class Run:
    """One run folder; a context manager that leaves summary.json whatever happens inside.

    `rows` are the scalars logged so far, as `Record.metrics` reads them back.
    """

    def __init__(
        self,
        runs_dir: str,
        name: str,
        wandb: str = "auto",
        place: Mapping[str, str] = MappingProxyType({}),
    ):
        """Make the folder `runs_dir`/<time>-`name`-<random>.

        Args:
            runs_dir: Where.
            name: A part of the folder's name.
            wandb: W&B's mode.
            place: In W&B, of `environment.PLACE` and `project` what the user says.

        Raises:
            DiskError: `runs_dir` cannot be written.
            UserError: `wandb` or WANDB_MODE is no mode.
        """
        self._wandb, self._place = environment.wandb_mode(wandb), place
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        folder = Path(runs_dir) / f"{now}-{name}-{secrets.token_hex(2)}"
        try:
            self._open(folder)
        except DiskError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @classmethod
    def reopen(cls, folder: Path, wandb: str = "auto") -> "Run":
        """A run that ended, or was killed, to be gone on with; `load_state_dict` says from where.

        Raises:
            UserError: It still runs, or its folder cannot be written.
        """
        run = cls.__new__(cls)
        run._wandb, run._place = environment.wandb_mode(wandb), {}
        run._open(folder)
        run._touched = False
        run._kept = os.fstat(run._metrics.fileno()).st_size
        return run

    def _open(self, folder: Path) -> None:
        self.id, self.dir = folder.name, folder
        with writable(str(folder.parent)):
            (self.dir / "samples").mkdir(parents=True, exist_ok=True)
            self._metrics = (self.dir / "metrics.jsonl").open("a+b", buffering=0)
        if not locked(self._metrics):
            self._metrics.close()
            raise UserError(f"{folder}: this run is still running; wait for its end, or stop it")
        self._room: Path | None = None  # for summary.json
        self._touched = True  # else what ends it early leaves the folder as it was
        self.status: Status = "running"
        self.summary: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self._sweep: dict[str, str] = {}
        self._start = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """How far the record is: bytes of metrics.jsonl, seconds, events of the summary."""
        with writing(self._metrics.name):
            os.fsync(self._metrics.fileno())
        size = os.fstat(self._metrics.fileno()).st_size
        seconds = time.monotonic() - self._start
        return {"bytes": size, "seconds": seconds, "events": dict(self.summary.get("events", {}))}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Count on from there; `go_on` cuts metrics.jsonl back to it."""
        self._kept = saved["bytes"]
        self._start = time.monotonic() - saved["seconds"]
        if "events" in self.summary:  # a handler holds the dict
            self.summary["events"] |= saved["events"]

    def about(self) -> dict[str, Any]:
        """config.json, as it is now."""
        about: dict[str, Any] = json.loads((self.dir / "config.json").read_text())
        return about

    def go_on(self, step: int, config: dict[str, Any], **facts: Any) -> None:
        """What `begin` is to a run that goes on at `step`: config.json says with which code.

        Raises:
            DiskError: config.json cannot be written: the folder is as it was.
        """
        self._sweep = environment.wandb_sweep()
        record = self.about() | {"config": config, **facts, **self._sweep}
        record["resumed"] = [*record.get("resumed", []), {"step": step, **provenance()}]
        for torn in self.dir.rglob("*.part"):  # of a writer that was killed
            torn.unlink()
        self._room = reserve(self.dir / "summary.json")
        write_json(self.dir / "config.json", record)
        (self.dir / "summary.json").unlink(missing_ok=True)
        self._touched = True
        self._metrics.truncate(self._kept)
        self.rows = Record(self.dir, {"config": {}}, {}).metrics()
        _ids.add(record.get("wandb_run", ""))
        feed(self.dir, self._wandb)

    def begin(self, config: dict[str, Any], **facts: Any) -> None:
        """Write config.json and have W&B fed: before the first step.

        Args:
            config: The flat configuration.
            facts: Whatever else identifies the run (model, key, data hash, device, ...).
        """
        self._sweep = environment.wandb_sweep()
        self._room = reserve(self.dir / "summary.json")
        wandb_run = environment.wandb_run_id(self.id, _ids)
        _ids.add(wandb_run)
        where = {"wandb_run": wandb_run, "wandb": environment.wandb_place(self._place)}
        about = {"id": self.id, **where, **self._sweep}
        write_json(self.dir / "config.json", {**about, **facts, "config": config, **provenance()})
        feed(self.dir, self._wandb)

    def log(self, split: str, scalars: dict[str, float], step: int, epoch: float) -> None:
        """Append the scalars of a split to metrics.jsonl; they are W&B's `split/name`."""
        row = {"step": step, "epoch": round(epoch, 4), "split": split, **scalars}
        self.rows.append(row)
        self._append(row)

    def event(self, what: str, step: int, epoch: float) -> None:
        """Append what befell the training to metrics.jsonl; W&B sends an alert."""
        self._append({"step": step, "epoch": epoch, "split": "events", "event": what})

    def _log_file(self, split: str, step: int, epoch: float, name: str, file: str) -> None:
        """Append a file of the run's folder to metrics.jsonl by the name that W&B gives it."""
        self._append({"step": step, "epoch": epoch, "split": split, "name": name, "file": file})

    def _append(self, row: dict[str, Any]) -> None:
        append_line(self._metrics, to_json(row))

    def picture(self, name: str, image: np.ndarray, step: int, epoch: int) -> None:
        """Save a picture, (H, W) or (H, W, 3) `uint8`, as samples/<name>-epoch-0001.png.

        The picture called `samples` is epoch-0001.png.
        """
        if image.dtype != np.uint8:
            raise TypeError(f"pictures are uint8, not {image.dtype}: W&B shows others as black")
        prefix = "" if name == "samples" else f"{name}-"
        path = f"samples/{prefix}epoch-{epoch:04d}.png"
        with whole(self.dir / path) as file:
            Image.fromarray(image).save(file, "PNG")
        self._log_file("samples", step, epoch, f"samples/{name}", path)

    def arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Save arrays as <name>.npz."""
        with whole(self.dir / f"{name}.npz") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def latents(
        self,
        z: np.ndarray,
        labels: np.ndarray,
        split: str,
        step: int,
        pictures: np.ndarray | None = None,
    ) -> None:
        """Save codes z (N, D) and labels (N,) as latents.npz; W&B has them as a table.

        `pictures` (N, S, S[, 3]) `uint8`, small, are what the codes are of.
        """
        of_codes = {} if pictures is None else {"pictures": pictures}
        self.arrays("latents", z=z, labels=labels, split=np.array(split), **of_codes)
        epoch = self.rows[-1]["epoch"] if self.rows else 0.0
        self._log_file(split, step, epoch, f"{split}/latents", "latents.npz")

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.status = "finished"
        elif self.status == "running":
            stopped = isinstance(error, SystemExit) and error.code == STOPPED
            self.status = "pruned" if stopped and "sweep" in self._sweep else "failed"
            self.summary["error"] = f"{kind.__name__}: {error}".removesuffix(": ")
        seconds = round(time.monotonic() - self._start, 2)
        record = {"status": self.status, "seconds": seconds, **self.summary}
        self._metrics.close()
        if not (self.dir / "config.json").exists():  # it never began, and leaves nothing
            shutil.rmtree(self.dir, ignore_errors=True)
        elif self._touched:
            self._end(record, said=isinstance(error, DiskError))

    def _end(self, summary: dict[str, Any], said: bool) -> None:
        """Write summary.json, and let W&B be told; that the disk refuses is said once."""
        try:
            write_json(self.dir / "summary.json", summary, self._room)
        except DiskError:
            if not said:
                raise
        finally:
            feed(self.dir, self._wandb, over=True)
