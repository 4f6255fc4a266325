"""`genbench sync`: run folders as W&B runs, whole, at any later time."""

import re
import tempfile
from pathlib import Path
from typing import Any

from genbench import UserError, environment
from genbench.console import first_line
from genbench.record.client import has_key, quiet
from genbench.record.lock import locked
from genbench.record.reader import read_run
from genbench.record.reading import WHERE, Row, check_latent_array, read_arrays
from genbench.record.searched import of_search, study_at
from genbench.record.shapes import Study
from genbench.record.source import (
    Tail,
    dashboard_of,
    of_evaluation,
    of_run,
    settings_of,
    summary_of,
    wants_artifact,
)
from genbench.record.upload import Behind, Upload

INIT_SECONDS = 15.0  # longest wait for a server that does not answer


def sync(folders: list[Path], timeout: float) -> None:
    """Upload what W&B does not have of some runs, and print a line for each.

    Args:
        folders: Of the runs.
        timeout: Seconds that the rest of an upload may take once all of a run is on its way.

    Raises:
        UserError: A run is none or still trains, there is no key, or the server does not take it.
    """
    for folder in folders:
        if not (study_at(folder) or read_run(folder)):
            raise UserError(f"{folder}: no run; `genbench runs` lists those of a folder")
    with environment.of_wandb(), quiet():
        _check_key()
        for folder in folders:
            with locked(folder, wait=False):
                print(f"{folder}: {_sync(folder, timeout)}", flush=True)


def _check_key() -> None:
    try:
        there = has_key()
    except Exception as error:  # a malformed key or URL
        raise UserError(f"W&B: {first_line(error)}") from error
    if not there:
        raise UserError("W&B: no key; `wandb login` or WANDB_API_KEY sets one")


def _sync(folder: Path, timeout: float) -> str:
    """Upload a run and its evaluations; its URL."""
    settings = settings_of(folder) | {
        "init_timeout": INIT_SECONDS,
        "finish_timeout": timeout,
        "x_disable_stats": True,  # of this process, which did not train
        "x_disable_meta": True,
        "x_skip_transaction_log": True,
    }
    try:
        with tempfile.TemporaryDirectory() as scratch:
            url = _upload(folder, Path(scratch), settings)
    except Behind as error:
        raise UserError(
            f"{folder}: the server has not taken all of it in {timeout:g} s; the same command "
            "goes on with it, --timeout gives it longer"
        ) from error
    except Exception as error:
        raise UserError(f"{folder}: not uploaded: {first_line(error)}") from error
    for log in folder.glob("wandb/offline-run-*/*.wandb"):
        log.with_suffix(".wandb.synced").touch()  # else `wandb sync` would upload it once more
    return url


def _upload(folder: Path, scratch: Path, settings: dict[str, Any]) -> str:
    if study := study_at(folder):
        return _upload_search(folder, study, settings, scratch)
    about, page = of_run(folder), dashboard_of(folder)
    upload = Upload(folder, about, "online", settings, page, scratch)
    url = str(upload.run.url)
    try:
        upload.feed(_with_files(folder, Tail(folder).rows()), alerts=False)
        upload.send_missed_files(INIT_SECONDS)
        if wants_artifact(folder):
            upload.send_model()
    finally:
        upload.close(summary_of(folder))
    record = read_run(folder)
    for evaluation in record.evaluations() if record else []:
        if scores := evaluation.get("logged"):
            about = of_evaluation(folder, scores, evaluation["sampler"])
            later = Upload(folder, about, "online", settings, scratch=scratch)
            later.close({"status": "finished", "scores": scores})
    return url


def _upload_search(folder: Path, study: Study, settings: dict[str, Any], scratch: Path) -> str:
    upload = Upload(folder, of_search(study), "online", settings, scratch=scratch)
    upload.close_with_search(study)
    return str(upload.run.url)


def _with_files(folder: Path, rows: list[Row]) -> list[Row]:
    """Rows; of a run of genbench 0.1.0, which named no files, with those that lie there."""
    if not rows or any("file" in row for row in rows):
        return rows
    found: list[Row] = []
    for path in sorted((folder / "samples").glob("*.png")):
        if named := re.fullmatch(r"(?:(.+)-)?epoch-(\d+)", path.stem):
            name, epoch = named[1] or "samples", float(named[2])
            step = max((row["step"] for row in rows if row["epoch"] <= epoch), default=0)
            row = {"step": step, "epoch": epoch, "split": "samples", "name": f"samples/{name}"}
            found.append(row | {"file": f"samples/{path.name}"})
    if "split" in (saved := read_arrays(folder / "latents.npz", check_latent_array)[0]):
        name = f"{saved['split']}/latents"
        last = {k: rows[-1][k] for k in WHERE}
        found.append(last | {"name": name, "file": "latents.npz"})
    return sorted(rows + found, key=lambda row: row["step"])
