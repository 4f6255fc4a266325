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
import functools
import json
import math
import os
import platform
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from PIL import Image

from genbench import UserError, __version__

PROJECT = "genbench"
STOPPED = 128 + signal.SIGTERM  # how a sweep's agent ends a run early
LOCAL = "local-"  # begins the ids of sweeps that no server knows
INIT_SECONDS = 20.0  # W&B: longest wait for a server at the start
FINISH_SECONDS = 10.0  # and for the upload at the end; `wandb sync` sends what is left
MODES = ("auto", "online", "offline", "disabled")
PACKAGES = ("torch", "torchvision", "pytorch-ignite", "wandb", "optuna", "numpy")
Status = Literal["running", "finished", "pruned", "failed"]
_failed: set[str] = set()  # W&B's modes that failed in this process


@contextmanager
def writable(runs_dir: str) -> Iterator[None]:
    """Turn the system's refusal to write below `runs_dir` into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"runs_dir={runs_dir}: cannot be written ({error.strerror}); "
            "choose another with --runs_dir"
        ) from error


class Run:
    """One run folder; a context manager that leaves summary.json whatever happens inside."""

    def __init__(self, runs_dir: str, name: str, wandb: str = "auto", group: str = ""):
        """Make the folder `runs_dir`/<time>-`name`-<random>.

        Raises:
            UserError: `runs_dir` cannot be written.
        """
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        self.id = f"{now}-{name}-{secrets.token_hex(2)}"
        self.dir = Path(runs_dir) / self.id
        with writable(runs_dir):
            (self.dir / "samples").mkdir(parents=True)
            self._metrics = (self.dir / "metrics.jsonl").open("a", buffering=1)
        self.status: Status = "running"
        self.summary: dict[str, Any] = {}
        self._wandb_choice, self._group = wandb, group
        self._wandb: Any = None
        self._sweep: dict[str, str] = {}
        self._start = time.monotonic()

    def begin(self, config: dict[str, Any], **facts: Any) -> None:
        """Write config.json and open W&B's record: before the first step.

        Args:
            config: The flat configuration.
            facts: Whatever else identifies the run (model, key, data hash, device, ...).
        """
        self._sweep = _sweep()
        record = {"id": self.id, **facts, "config": config, **self._sweep, **provenance()}
        write_json(self.dir / "config.json", record)
        flat = {k: v for k, v in facts.items() if not isinstance(v, dict)}
        self._wandb = _open_wandb(
            self._wandb_choice,
            dir=self.dir,
            name=self.id,
            id=os.environ.get("WANDB_RUN_ID"),
            group=self._group or None,
            config=config | flat,
        )

    def log(self, split: str, scalars: dict[str, float], step: int, epoch: float) -> None:
        """Append the scalars of a split to metrics.jsonl, and to W&B as `split/name`."""
        row = {"step": step, "epoch": round(epoch, 4), "split": split, **scalars}
        self._metrics.write(to_json(row) + "\n")
        named = {f"{split}/{name}": value for name, value in scalars.items()}
        self._to_wandb(lambda wandb: {"epoch": row["epoch"], **named}, step)

    def picture(self, name: str, image: np.ndarray, step: int, epoch: int) -> None:
        """Save a picture, (H, W) or (H, W, 3) `uint8`, as samples/<name>-epoch-0001.png.

        The picture called `samples` is epoch-0001.png.
        """
        if image.dtype != np.uint8:
            raise TypeError(f"pictures are uint8, not {image.dtype}: W&B shows others as black")
        prefix = "" if name == "samples" else f"{name}-"
        Image.fromarray(image).save(self.dir / "samples" / f"{prefix}epoch-{epoch:04d}.png")
        self._to_wandb(lambda wandb: {"epoch": epoch, f"samples/{name}": wandb.Image(image)}, step)

    def arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Save arrays as <name>.npz."""
        np.savez_compressed(self.dir / f"{name}.npz", **arrays)  # type: ignore[arg-type]

    def latents(self, z: np.ndarray, labels: np.ndarray, split: str, step: int) -> None:
        """Save codes z (N, D) and labels (N,) as latents.npz, and to W&B as a table.

        W&B's 2D projector (PCA, UMAP or t-SNE) opens such a table.
        """
        self.arrays("latents", z=z, labels=labels, split=np.array(split))
        columns = ["label", *(f"z{i}" for i in range(z.shape[1]))]
        rows = [[str(label), *code] for label, code in zip(labels, z.tolist(), strict=True)]
        self._to_wandb(lambda wandb: {f"{split}/latents": wandb.Table(columns, rows)}, step)

    def _to_wandb(self, make: Callable[[Any], dict[str, Any]], step: int) -> None:
        """Log what `make(wandb)` gives; W&B's failures end its record, never the run."""
        if not self._wandb:
            return
        import wandb

        try:
            self._wandb.log(make(wandb), step=step)
        except Exception as error:
            say(f"W&B: {first_line(error)}; this run goes on without it")
            self._wandb = None

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
        if self._wandb:
            _close_wandb(self._wandb, record)


def log_evaluation(
    folder: Path, about: dict[str, Any], scores: dict[str, float], wandb: str = "auto"
) -> None:
    """Give a finished run's later scores to W&B, as a run of their own in its group.

    Args:
        folder: The finished run's.
        about: Its config.json.
        scores: By `split/name`.
        wandb: As for `Run`.
    """
    record = _open_wandb(
        wandb,
        dir=folder,
        name=f"{folder.name}-evaluation",
        job_type="evaluation",
        group=about["config"].get("group") or None,
        config={**about["config"], "run": about["id"], "model": about["model"]},
    )
    if record:
        record.log(scores)
        _close_wandb(record, {"status": "finished"})


def _open_wandb(choice: str, dir: Path, **about: Any) -> Any:
    """W&B's run, or None where it is disabled or cannot be had.

    The user's choice or WANDB_MODE wins; else a configured key means online, and offline after a
    failure; else offline. Never a prompt, and what failed once is not tried again in this process.

    Args:
        choice: auto or a mode.
        dir: The folder of the run.
        about: What `wandb.init` is told of it.

    Raises:
        UserError: WANDB_MODE is no mode.
    """
    mode = os.environ.get("WANDB_MODE") or "auto" if choice == "auto" else choice
    if mode not in MODES:
        raise UserError(f"WANDB_MODE={mode}: choose one of {', '.join(MODES)}")
    if mode == "disabled":
        return None
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ["WANDB_DATA_DIR"] = str(dir.resolve() / "wandb")  # tables are staged there
    if os.environ.get("WANDB_SWEEP_ID", "").startswith(LOCAL):  # `wandb sync` would name it to
        del os.environ["WANDB_SWEEP_ID"]  # a server that does not know it: the group stays
    import wandb

    online = mode in ("auto", "online") and "online" not in _failed and _has_key(wandb)
    for attempt in ("online", "offline") if online else ("offline",):
        if attempt in _failed:
            continue
        try:
            return _init_wandb(wandb, attempt, dir=str(dir), **about)
        except Exception as error:  # whatever is wrong with W&B, the run goes on
            _failed.add(attempt)
            instead = "offline instead, `wandb sync` uploads later"
            instead = instead if attempt == "online" else "going on without its record"
            say(f"W&B: {first_line(error)}; {instead}")
    return None


def _sweep() -> dict[str, str]:
    """The sweep that this run is a part of, as W&B's agent or `genbench sweep` says it."""
    names = {"sweep": "WANDB_SWEEP_ID", "wandb_run": "WANDB_RUN_ID"}
    return {name: os.environ[key] for name, key in names.items() if key in os.environ}


def _init_wandb(wandb: Any, mode: str, **about: Any) -> Any:
    """Start W&B's run in the run's folder."""
    record = wandb.init(
        mode=mode,
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        reinit="create_new",
        **about,
        settings=wandb.Settings(
            silent=True,
            console="off",
            init_timeout=INIT_SECONDS,
            finish_timeout=FINISH_SECONDS,
            x_transaction_log_flush_interval=1.0,
        ),
    )
    for prefix in ("val", "test", "samples"):
        record.define_metric(f"{prefix}/*", step_metric="epoch")
    if record.url:
        say(f"W&B: {record.url}")
    return record


def _has_key(wandb: Any) -> bool:
    """Whether W&B has credentials, without asking for any and without a server."""
    try:
        found = bool(wandb.login(prompt=False, verify=False))
    except Exception as error:  # a malformed key or URL
        say_once(f"W&B: {first_line(error)}")
        return False
    if not found:
        say_once("W&B: no key, so offline; `wandb login` sets one, `wandb sync` uploads later")
    return found


def _close_wandb(record: Any, summary: dict[str, Any]) -> None:
    """Finish W&B's record within a bounded time; its failures cost the run nothing."""
    try:
        record.log({}, commit=True)  # else the last row would come after the summary
        scores = summary.get("scores", {})  # of the best epoch: they replace the last epoch's
        record.summary.update({k: v for k, v in summary.items() if k != "scores"} | scores)
        record.finish(exit_code=1 if summary["status"] == "failed" else 0)
    except Exception as error:  # the run's own record is complete by now
        say(f"W&B: {first_line(error)}; `wandb sync` uploads what is left")


def first_line(error: Exception) -> str:
    """What an error says, on one line; its kind if it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0]


def say(line: str) -> None:
    """One line for the person at the terminal, apart from results on stdout."""
    print(line, file=sys.stderr, flush=True)


@functools.cache
def say_once(line: str) -> None:
    """`say`, but not the same line again in this process."""
    say(line)


def provenance() -> dict[str, Any]:
    """Commit, versions, machine and command line, as they are now."""
    versions = {"genbench": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "command": [Path(sys.argv[0]).name, *map(masked, sys.argv[1:])],
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        "versions": versions,
        "platform": platform.platform(),
    }


def masked(text: str) -> str:
    """`text` without the password of a URL in it."""
    return re.sub(r"(://[^:/@\s]+:)[^@\s]+@", r"\1***@", text)


def git(*args: str) -> str | None:
    """What git says of this package's checkout; None outside one."""
    try:
        done = subprocess.run(
            ["git", *args],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def to_json(value: Any) -> str:
    """Strict JSON: NaN and infinities as the strings "NaN", "Infinity" and "-Infinity"."""

    def strict(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: strict(inner) for key, inner in item.items()}
        if isinstance(item, list | tuple):
            return [strict(inner) for inner in item]
        if isinstance(item, float) and not math.isfinite(item):
            return "NaN" if math.isnan(item) else ("Infinity" if item > 0 else "-Infinity")
        return item

    return json.dumps(strict(value), allow_nan=False)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    text = json.dumps(json.loads(to_json(value)), indent=2) + "\n"
    torn = path.with_suffix(f".{os.getpid()}.tmp")
    torn.write_text(text)
    os.replace(torn, path)
