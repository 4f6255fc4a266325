"""The record of one training on disk, with W&B as a second sink behind the same calls.

    runs/<id>/config.json     before the first step: configuration, code, versions, data, device
              metrics.jsonl   a line a log: step, epoch, split and its scalars
              samples/        pictures; pictures.npz and latents.npz for the report
              checkpoints/    best.pt and last.pt
              summary.json    last: status finished, pruned or failed; its absence means a crash
              wandb/          W&B's own record

The disk comes first: whatever W&B does, nothing is lost here.
"""

import datetime
import json
import os
import secrets
import shutil
import signal
import time
from pathlib import Path
from types import TracebackType
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
from genbench.record.provenance import provenance
from genbench.record.reader import Record
from genbench.record.shapes import Status
from genbench.record.wandb_sink import WandbSink

STOPPED = 128 + signal.SIGTERM  # how a sweep's agent ends a run early


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

    def __init__(self, runs_dir: str, name: str, wandb: str = "auto", group: str = ""):
        """Make the folder `runs_dir`/<time>-`name`-<random>.

        Raises:
            DiskError: `runs_dir` cannot be written.
        """
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        folder = Path(runs_dir) / f"{now}-{name}-{secrets.token_hex(2)}"
        try:
            self._open(folder, wandb, group)
        except DiskError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @classmethod
    def reopen(cls, folder: Path, wandb: str = "auto", group: str = "") -> "Run":
        """A run that ended, or was killed, to be gone on with; `load_state_dict` says from where.

        Raises:
            UserError: It still runs, or its folder cannot be written.
        """
        run = cls.__new__(cls)
        run._open(folder, wandb, group)
        run._touched = False
        return run

    def _open(self, folder: Path, wandb: str, group: str) -> None:
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
        self._wandb_choice, self._group = wandb, group
        self._sink = WandbSink("disabled", self.dir)
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
        """Cut metrics.jsonl back to there, and count on."""
        self._metrics.truncate(saved["bytes"])
        self._start = time.monotonic() - saved["seconds"]
        if "events" in self.summary:  # a handler holds the dict
            self.summary["events"] |= saved["events"]
        self.rows = Record(self.dir, {"config": {}}, {}).metrics()

    def about(self) -> dict[str, Any]:
        """config.json, as it is now."""
        about: dict[str, Any] = json.loads((self.dir / "config.json").read_text())
        return about

    def go_on(self, step: int, config: dict[str, Any], **facts: Any) -> None:
        """What `begin` is to a run that goes on at `step`: config.json says with which code."""
        self._sweep = environment.wandb_sweep()
        record = self.about() | {"config": config, **facts, **self._sweep}
        record["resumed"] = [*record.get("resumed", []), {"step": step, **provenance()}]
        for torn in self.dir.rglob("*.part"):  # of a writer that was killed
            torn.unlink()
        self._room = reserve(self.dir / "summary.json")
        write_json(self.dir / "config.json", record)
        (self.dir / "summary.json").unlink(missing_ok=True)
        self._touched = True

    def begin(self, config: dict[str, Any], **facts: Any) -> None:
        """Write config.json and open W&B's record: before the first step.

        Args:
            config: The flat configuration.
            facts: Whatever else identifies the run (model, key, data hash, device, ...).
        """
        self._sweep = environment.wandb_sweep()
        self._room = reserve(self.dir / "summary.json")
        record = {"id": self.id, **facts, "config": config, **self._sweep, **provenance()}
        write_json(self.dir / "config.json", record)
        flat = {k: v for k, v in facts.items() if not isinstance(v, dict)}
        self._sink = WandbSink(
            self._wandb_choice,
            self.dir,
            name=self.id,
            id=environment.wandb_run_id(),
            group=self._group or None,
            config=config | flat,
        )

    def log(self, split: str, scalars: dict[str, float], step: int, epoch: float) -> None:
        """Append the scalars of a split to metrics.jsonl, and to W&B as `split/name`."""
        row = {"step": step, "epoch": round(epoch, 4), "split": split, **scalars}
        self.rows.append(row)
        append_line(self._metrics, to_json(row))
        named = {f"{split}/{name}": value for name, value in scalars.items()}
        self._sink.scalars({"epoch": row["epoch"], **named}, step)

    def picture(self, name: str, image: np.ndarray, step: int, epoch: int) -> None:
        """Save a picture, (H, W) or (H, W, 3) `uint8`, as samples/<name>-epoch-0001.png.

        The picture called `samples` is epoch-0001.png.
        """
        if image.dtype != np.uint8:
            raise TypeError(f"pictures are uint8, not {image.dtype}: W&B shows others as black")
        prefix = "" if name == "samples" else f"{name}-"
        with whole(self.dir / "samples" / f"{prefix}epoch-{epoch:04d}.png") as file:
            Image.fromarray(image).save(file, "PNG")
        self._sink.picture(f"samples/{name}", image, step, epoch)

    def arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Save arrays as <name>.npz."""
        with whole(self.dir / f"{name}.npz") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def latents(self, z: np.ndarray, labels: np.ndarray, split: str, step: int) -> None:
        """Save codes z (N, D) and labels (N,) as latents.npz, and to W&B as a table.

        W&B's 2D projector (PCA, UMAP or t-SNE) opens such a table.
        """
        self.arrays("latents", z=z, labels=labels, split=np.array(split))
        columns = ["label", *(f"z{i}" for i in range(z.shape[1]))]
        rows = [[str(label), *code] for label, code in zip(labels, z.tolist(), strict=True)]
        self._sink.table(f"{split}/latents", columns, rows, step)

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
        """Write summary.json, and close W&B's record; that the disk refuses is said once."""
        try:
            write_json(self.dir / "summary.json", summary, self._room)
        except DiskError:
            if not said:
                raise
        finally:
            self._sink.close(summary)
