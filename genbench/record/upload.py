"""A run folder as a run in W&B, made from the folder's files alone: now, later, or once more."""

import hashlib
import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import wandb

from genbench import environment
from genbench.console import first_line, say
from genbench.npz import read_npz
from genbench.record.client import listen, settings_of_ours
from genbench.record.reading import WHERE, Row
from genbench.record.searched import end_of, trials_of
from genbench.record.shapes import Dashboard, Study

VALIDATED = "_validated"  # in the summary, the step of the last validation that W&B has
DIVERGED = "Diverged"  # begins the error of a run whose scalars were no longer finite


class Behind(Exception):
    """The server has not taken all of a run."""


class Upload:
    """The run of a folder in W&B, begun or gone on with.

    Its history has what is logged while it trains. Its summary has of each validation scalar the
    best value so far, and at the end the scores of the best epoch, by their plain names: what W&B's
    own `summary="min"` stores, {"min": x}, neither a sweep nor a column of the runs' table reads.
    """

    def __init__(
        self,
        folder: Path,
        about: Row,
        mode: str,
        settings: dict[str, Any],
        page: Dashboard | None = None,
        scratch: Path | None = None,
    ):
        """Begin it. In mode online what the server has is not sent again.

        An offline record is always whole, and replaces earlier ones.

        Args:
            folder: Of the run.
            about: What `source` says.
            mode: online, offline or shared.
            settings: More of `wandb.Settings`.
            page: What is the best of a scalar, and its floor.
            scratch: Where W&B's own files go, in place of the run's folder.

        Raises:
            wandb.errors.Error: W&B, or its server, refuses.
        """
        self._folder, self.mode = folder, mode
        environment.stage_tables_in((scratch or folder) / "wandb")
        if mode == "offline":
            _remove_earlier(folder, about["id"])
        self._said = listen()
        self.run = wandb.init(
            mode=mode,  # type: ignore[arg-type]
            dir=str(scratch or folder),
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=settings_of_ours(settings),
            **about,
        )
        self._next = self.run.starting_step if mode == "online" else 0  # earlier ones it has
        self._known = {**self.run.summary} if self._next else {}
        self._logged = False
        self._ends: Row = {}  # best values and scores of the end, for the summary
        self.missed: list[Row] = []  # media rows that are at the server, perhaps without their file
        self._better = {f"val/{k}": v for k, v in (page or {}).get("better", {}).items()}
        self._floors = {f"val/{k}": v for k, v in (page or {}).get("floors", {}).items()}
        self._define((page or {}).get("hidden", []))

    def _define(self, hidden: list[str]) -> None:
        """Which metrics are drawn over epochs, which not at all, and which W&B sums up itself."""
        self.run.define_metric("epoch", hidden=True)
        for name in self._better:
            self.run.define_metric(name, step_metric="epoch", summary="none")
        for name in self._floors:
            self.run.define_metric(name, step_metric="epoch", hidden=True)
        for name in hidden:
            self.run.define_metric(f"train/{name}", hidden=True)
            self.run.define_metric(f"val/{name}", step_metric="epoch", hidden=True)
        for prefix in ("val", "test", "samples"):
            self.run.define_metric(f"{prefix}/*", step_metric="epoch")

    def feed(self, rows: Iterable[Row], alerts: bool = True) -> None:
        """Log rows in order; of events send alerts, if wanted.

        A row that cannot be logged is left out, with a line.

        Raises:
            Exception: wandb-core is no longer there.
        """
        for row in rows:
            try:
                if "event" not in row:
                    self._log(row)
                elif alerts and row["step"] >= self._next:
                    self._alert(row["event"], f"epoch {row['epoch']:g}: {row['event']}", "WARN")
            except Exception as error:
                self.check()
                say(f"W&B: {first_line(error)}; left out at step {row['step']}")
        self.check()

    def check(self) -> None:
        """Ask wandb-core something, which raises if it is no longer there."""
        if self.mode != "shared":  # in which there is nothing to ask for
            _ = self.run.step

    def _alert(self, title: str, text: str, level: str) -> None:
        self.run.alert(title[:63], f"{self.run.name}, {text}", level)

    def _log(self, row: Row) -> None:
        step, is_file = row["step"], "file" in row
        values = {} if is_file else self._values(row)
        if step < self._next - 1 or (step < self._next and self._known.get("status") == "finished"):
            self.missed += [row] if is_file else []
            return
        values = self._media(row) if is_file else values
        if step < self._next:  # the last one at the server: perhaps half of it
            values = {k: v for k, v in values.items() if not self._is_there(k, v, step)}
            self.missed += [row] if is_file and not values else []
        if values:
            self.run.log({"epoch": row["epoch"], **values}, step=max(step, self._next))
            self._logged = True
        if row["split"] == "val" and not is_file:
            best = {k: v for k, v in self._ends.items() if k in self._better}
            self.run.summary.update(best | {VALIDATED: step})

    def _values(self, row: Row) -> Row:
        """What a row is in the history; a score of the end, which is a line of one point, is not.

        Notes what of it the summary will have.
        """
        names = row.keys() - WHERE.keys()
        values = {f"{row['split']}/{name}": row[name] for name in row if name in names}
        if row["split"] == "test":
            self._ends |= values
            return {}
        for name in values.keys() & self._better.keys():
            sign, value = 1 if self._better[name] == "maximize" else -1, values[name]
            best = self._ends.get(name, -sign * math.inf)
            if math.isfinite(value) and sign * value >= sign * best:
                self._ends[name] = value
        floors = {k: v for k, v in self._floors.items() if k.replace("/floor_", "/", 1) in values}
        return values | floors

    def _is_there(self, name: str, value: Any, step: int) -> bool:
        """Whether the server has this value of the last step that it knows."""
        if name in self._better and VALIDATED in self._known:
            return bool(step <= self._known[VALIDATED])
        return _same(value, self._known.get(name))

    def _media(self, row: Row) -> Row:
        path = self._folder / row["file"]
        if path.suffix == ".npz":
            return {row["name"]: _table(path)}
        return {row["name"]: wandb.Image(str(path), caption=f"epoch {row['epoch']:g}")}

    def close_with_search(self, study: Study) -> None:
        """Log what the trials of a search gave, a row a trial and a table of all, and finish it.

        Raises:
            Behind: The server has not taken all of it.
        """
        rows, columns, cells = trials_of(study)
        for row in rows:
            if row["step"] >= self._next:
                self.run.log({k: v for k, v in row.items() if k != "step"}, step=row["step"])
        step = max(self._next, rows[-1]["step"] if rows else 0)
        self.run.log({"search/trials": wandb.Table(columns, cells)}, step=step)
        self._logged = True
        self.close(end_of(study))

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

    def send_model(self) -> None:
        """Send the best and the last checkpoint as one artifact, which W&B keeps once."""
        artifact = wandb.Artifact(f"model-{self.run.id}", type="model")
        for name in ("best.pt", "last.pt"):
            path = self._folder / "checkpoints" / name
            if path.is_file():
                artifact.add_file(str(path), name=name, policy="immutable")
        if artifact.manifest.entries:
            self.run.log_artifact(artifact, aliases=["best", "latest"])

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
        told = {k: v for k, v in summary.items() if k != "scores"}
        self.run.summary.update(told | self._ends | scores | {"status": status})
        if summary.get("error", "").startswith(DIVERGED) and self._known.get("status") != status:
            self._alert("the training diverged", summary["error"], "ERROR")
        try:
            self.run.finish(exit_code=1 if status in ("failed", "unfinished") else 0)
        except TimeoutError as error:
            raise Behind from error
        said = [record.getMessage() for record in self._said.buffer]
        if self.mode != "offline" and any("not be synced" in line for line in said):
            raise Behind


def _remove_earlier(folder: Path, run_id: str) -> None:
    for earlier in (folder / "wandb").glob(f"*run-*_*-{run_id}"):
        shutil.rmtree(earlier, ignore_errors=True)


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
