"""A run folder as a run in W&B, made from the folder's files alone: now, later, or once more."""

import contextlib
import hashlib
import logging.handlers
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import wandb

from genbench import environment
from genbench.console import first_line, say
from genbench.npz import read_npz
from genbench.record.reading import Row


class Behind(Exception):
    """The server has not taken all of a run."""


class Upload:
    """The run of a folder in W&B, begun or gone on with."""

    def __init__(
        self,
        folder: Path,
        about: Row,
        mode: str,
        settings: dict[str, Any],
        scratch: Path | None = None,
    ):
        """Begin it. In mode online what the server has is not sent again.

        An offline record is always whole, and replaces earlier ones.

        Args:
            folder: Of the run.
            about: What `of_run` or `of_evaluation` says.
            mode: online, offline or shared.
            settings: More of `wandb.Settings`.
            scratch: Where W&B's own files go, in place of the run's folder.

        Raises:
            wandb.errors.Error: W&B, or its server, refuses.
        """
        self._folder, self.mode = folder, mode
        environment.stage_tables_in((scratch or folder) / "wandb")
        if mode == "offline":
            _remove_earlier(folder, about["id"])
        self._said = _listen()
        self.run = wandb.init(
            mode=mode,  # type: ignore[arg-type]
            dir=str(scratch or folder),
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=_settings(settings),
            **about,
        )
        self._next = self.run.starting_step if mode == "online" else 0  # earlier ones it has
        self._known = {**self.run.summary} if self._next else {}
        self._logged = False
        self.missed: list[Row] = []  # media rows that are at the server, perhaps without their file
        for prefix in ("val", "test", "samples"):
            self.run.define_metric(f"{prefix}/*", step_metric="epoch")

    def feed(self, rows: Iterable[Row]) -> None:
        """Log rows in order.

        A row that cannot be logged is left out, with a line.

        Raises:
            Exception: wandb-core is no longer there.
        """
        for row in rows:
            try:
                self._log(row)
            except Exception as error:
                self.check()
                say(f"W&B: {first_line(error)}; left out at step {row['step']}")
        self.check()

    def check(self) -> None:
        """Ask wandb-core something, which raises if it is no longer there."""
        if self.mode != "shared":  # in which there is nothing to ask for
            _ = self.run.step

    def _log(self, row: Row) -> None:
        if row["step"] < self._next - 1 or (
            row["step"] < self._next and self._known.get("status") == "finished"
        ):
            self.missed += [row] if "file" in row else []
            return
        values = self._media(row) if "file" in row else _scalars(row)
        if row["step"] < self._next:  # the last one at the server: perhaps half of it
            values = {k: v for k, v in values.items() if not _same(v, self._known.get(k))}
            self.missed += [row] if "file" in row and not values else []
        if values:
            self.run.log({"epoch": row["epoch"], **values}, step=max(row["step"], self._next))
            self._logged = True

    def _media(self, row: Row) -> Row:
        path = self._folder / row["file"]
        return {row["name"]: _table(path) if path.suffix == ".npz" else wandb.Image(str(path))}

    def log_scores(self, scores: dict[str, float]) -> None:
        """Log the scores of an evaluation, unless they are at the server."""
        if not self._next:
            self.run.log(scores)

    def send_missed_files(self, timeout: float) -> None:
        """Send files of rows that are at the server where it does not have them."""
        if not self.missed:
            return
        path = f"{self.run.entity}/{self.run.project}/{self.run.id}"
        there = {
            file.name for file in wandb.Api(timeout=int(timeout)).run(path).files(per_page=1000)
        }
        for row in self.missed:
            name, step = row["name"], row["step"]
            if row["file"].endswith(".npz"):
                if self._known.get(name, {}).get("path") not in there:
                    self.run.log(self._media(row), step=max(step, self._next))
                    self._logged = True
            elif (
                f"media/images/{name}_{step}_{_digest(self._folder / row['file'])}.png" not in there
            ):
                self._media(row)[name].bind_to_run(self.run, name, step)

    def close(self, summary: Row) -> None:
        """Finish it.

        Args:
            summary: summary.json, empty if there is none: the run still runs, or was killed.

        Raises:
            Behind: The server has not taken all of it.
        """
        if self._logged:
            self.run.log({}, commit=True)  # else the last row would come after the summary
        scores = summary.get("scores", {})  # they replace the last epoch's
        status = summary.get("status", "unfinished")
        told = {k: v for k, v in summary.items() if k != "scores"} | scores | {"status": status}
        self.run.summary.update(told)
        try:
            self.run.finish(exit_code=1 if status in ("failed", "unfinished") else 0)
        except TimeoutError as error:
            raise Behind from error
        said = [record.getMessage() for record in self._said.buffer]
        if self.mode != "offline" and any("not be synced" in line for line in said):
            raise Behind


def _listen() -> logging.handlers.BufferingHandler:
    """Collect what W&B would print, were it not silent."""
    said = logging.handlers.BufferingHandler(10_000)
    logger = logging.Logger("wandb", logging.WARNING)
    logger.addHandler(said)
    wandb.setup()  # which sets no logger
    wandb.termsetup(_settings({}), logger)
    return said


def _settings(more: dict[str, Any]) -> wandb.Settings:
    return wandb.Settings(
        silent=True,
        console="off",
        finish_timeout_raises=True,
        x_transaction_log_flush_interval=1.0,
        **more,
    )


def _remove_earlier(folder: Path, run_id: str) -> None:
    for earlier in (folder / "wandb").glob(f"*run-*_*-{run_id}"):
        shutil.rmtree(earlier, ignore_errors=True)


def _scalars(row: Row) -> Row:
    names = row.keys() - {"step", "epoch", "split"}
    return {f"{row['split']}/{name}": row[name] for name in row if name in names}


def _table(path: Path) -> wandb.Table:
    """Codes and labels, which W&B's 2D projector (PCA, UMAP or t-SNE) opens."""
    saved = read_npz(path)
    z, labels = saved["z"], saved["labels"]
    rows = [[str(label), *code] for label, code in zip(labels, z.tolist(), strict=True)]
    return wandb.Table(["label", *(f"z{i}" for i in range(z.shape[1]))], rows)


def _same(value: Any, known: Any) -> bool:
    """Whether the server's summary holds this value of a row."""
    if known is None:
        return False
    if isinstance(value, wandb.Image):
        return known.get("sha256") == value._sha256
    if isinstance(value, wandb.Table):
        return known.get("nrows") == len(value.data)
    return str(float(known)) == str(value)


def _digest(path: Path) -> str:
    """What W&B puts into the name of a picture."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:20]


def has_key() -> bool:
    """Whether W&B has credentials, without asking for any and without a server."""
    return bool(wandb.login(prompt=False, verify=False))


def restart() -> None:
    """Forget wandb-core, which has died; the next run starts another."""
    with contextlib.suppress(Exception):
        wandb.teardown()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let lines of W&B's, and of its programs, go nowhere, and ours to stderr as before."""
    before = os.dup(2), sys.stderr
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    sys.stderr = os.fdopen(before[0], "w", buffering=1, errors="replace", closefd=False)
    try:
        yield
    finally:
        os.dup2(before[0], 2)
        sys.stderr = before[1]
