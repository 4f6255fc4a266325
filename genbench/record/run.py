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
import secrets
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from PIL import Image

from genbench import environment
from genbench.files import to_json, whole, writable, write_json
from genbench.record.feeding import feed
from genbench.record.provenance import provenance

STOPPED = 128 + signal.SIGTERM  # how a sweep's agent ends a run early
Status = Literal["running", "finished", "pruned", "failed"]
_ids: set[str] = set()  # that runs of this process have in W&B


class Run:
    """One run folder; a context manager that leaves summary.json whatever happens inside.

    `rows` are the scalars logged so far, as `Record.metrics` reads them back.
    """

    def __init__(self, runs_dir: str, name: str, wandb: str = "auto", group: str = ""):
        """Make the folder `runs_dir`/<time>-`name`-<random>.

        Raises:
            UserError: `runs_dir` cannot be written, or `wandb` or WANDB_MODE is no mode.
        """
        self._wandb, self._group = environment.wandb_mode(wandb), group
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        self.id = f"{now}-{name}-{secrets.token_hex(2)}"
        self.dir = Path(runs_dir) / self.id
        with writable(runs_dir):
            (self.dir / "samples").mkdir(parents=True)
            self._metrics = (self.dir / "metrics.jsonl").open("a", buffering=1)
        self.status: Status = "running"
        self.summary: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self._sweep: dict[str, str] = {}
        self._start = time.monotonic()

    def begin(self, config: dict[str, Any], **facts: Any) -> None:
        """Write config.json and have W&B fed: before the first step.

        Args:
            config: The flat configuration.
            facts: Whatever else identifies the run (model, key, data hash, device, ...).
        """
        self._sweep = environment.wandb_sweep()
        wandb_run = environment.wandb_run_id(self.id, _ids)
        _ids.add(wandb_run)
        where = {"wandb_run": wandb_run, "wandb": environment.wandb_place(self._group)}
        about = {"id": self.id, **where, **self._sweep}
        write_json(self.dir / "config.json", {**about, **facts, "config": config, **provenance()})
        feed(self.dir, self._wandb)

    def log(self, split: str, scalars: dict[str, float], step: int, epoch: float) -> None:
        """Append the scalars of a split to metrics.jsonl; they are W&B's `split/name`."""
        row = {"step": step, "epoch": round(epoch, 4), "split": split, **scalars}
        self.rows.append(row)
        self._metrics.write(to_json(row) + "\n")

    def _log_file(self, split: str, step: int, epoch: float, name: str, file: str) -> None:
        """Append a file of the run's folder to metrics.jsonl by the name that W&B gives it."""
        row = {"step": step, "epoch": epoch, "split": split, "name": name, "file": file}
        self._metrics.write(to_json(row) + "\n")

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

    def latents(self, z: np.ndarray, labels: np.ndarray, split: str, step: int) -> None:
        """Save codes z (N, D) and labels (N,) as latents.npz; W&B has them as a table."""
        self.arrays("latents", z=z, labels=labels, split=np.array(split))
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
        write_json(self.dir / "summary.json", record)
        feed(self.dir, self._wandb, over=True)
