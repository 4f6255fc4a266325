"""Run folders as configurations: to do a run again, and to go on with one that was stopped."""

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

from genbench import UserError, environment
from genbench.config import Config, roles
from genbench.console import say
from genbench.families import FAMILIES
from genbench.record import Record, finished, is_running, read_run, read_runs
from genbench.record.reading import read_object
from genbench.record.shapes import About

LIMITS = ("epochs", "minutes", "patience")  # a run may go on with others


def read_config(path: Path) -> Config:
    """The configuration in a run's config.json.

    Raises:
        UserError: It is no such file, or of another version's fields.
    """
    about, problems = read_object(path, About)
    if not about or problems:
        reason = problems[0].removeprefix(f"{path}: ") if problems else "no such file"
        raise UserError(
            f"{path}: no configuration of a run ({reason}); name the config.json in a run's folder"
        )
    kind = FAMILIES.find(about.get("model", ""), "model").config
    try:
        return kind.of_record(about["config"])
    except TypeError as error:
        raise UserError(f"{path}: of another version of genbench ({error})") from error


def find_run(run: str, runs_dir: str) -> Path:
    """A run's folder by its path, or by its name below `runs_dir`."""
    path = Path(os.path.expanduser(run))
    return path if path.is_dir() else Path(os.path.expanduser(runs_dir)) / run


def check_resume(folder: Path, config: Config) -> None:
    """Refuse to go on with a run under a configuration that is not its own, or for nothing.

    What does not change the weights may be another, and the limits of its length.

    Raises:
        UserError: It says which flag, or that the run is finished.
    """
    before = read_config(folder / "config.json")
    for name in own_fields(config):
        if getattr(config, name) not in ("auto", getattr(before, name)):  # auto: as it was
            raise UserError(
                f"{name}={getattr(config, name)}: the run has {name}={getattr(before, name)}; "
                f"leave it out, or train a new run with --config={folder}/config.json"
            )
    record = read_run(folder)
    if record and "data_hash" not in record.about:
        raise UserError(f"{folder}/config.json: lacks data_hash, so that nobody knows its data")
    limits = {name: getattr(config, name) for name in (*LIMITS, "test")}
    same = all(getattr(before, name) == value for name, value in limits.items())
    if record and record.status == "finished" and same:
        raise UserError(
            f"{folder}: is finished; more --epochs than its {before.epochs} go on with it"
        )
    if record and config.epochs < record.epochs_done:
        raise UserError(f"epochs={config.epochs}: {folder} has {record.epochs_done:g} already")
    if record and record.status == "finished" and not (folder / "checkpoints").is_dir():
        raise UserError(f"{folder}: is finished, and kept no checkpoint to go on from")


def another_end(about: dict[str, Any], config: Config, epoch: float) -> dict[str, Any]:
    """What config.json says where the learning rate so far was that of another end than is now.

    No run that is trained at once has such a one: this one has a key of its own.

    Args:
        about: config.json before.
        config: What the run goes on with.
        epoch: Where it goes on.

    Returns:
        `restarted`, the epochs at which that happened, and the `key`; nothing where it never did.
    """
    before, restarted = about["config"], about.get("restarted", [])
    moved = any(before.get(name) != getattr(config, name) for name in ("epochs", "minutes"))
    timed = before.get("minutes") or config.minutes
    fallen = timed or epoch > (1 - config.lr_decay) * min(before["epochs"], config.epochs)
    if moved and epoch and config.lr_decay and fallen:
        restarted = [*restarted, round(epoch, 4)]
        say(
            f"epoch {epoch:g}: the learning rate so far was that of another end; this is no "
            f"repetition of a run of epochs={config.epochs} (but with --lr_decay=0)"
        )
    key = hashlib.sha256(f"{config.key} {restarted}".encode()).hexdigest()[:8]
    return {"restarted": restarted, "key": key} if restarted else {}


def own_fields(config: Config) -> list[str]:
    """The fields that a run that goes on must share with what it was."""
    by_name = roles(type(config))
    return [n for n, role in by_name.items() if n == "seed" or (role.key and n not in LIMITS)]


def preempted(config: Config) -> Path | None:
    """The folder of this run of a W&B sweep, if it was begun here and stopped."""
    run_id = environment.given_run_id()
    if not run_id or not Path(config.runs_dir).is_dir():
        return None
    mine = [run for run in read_runs(config.runs_dir) if run.about.get("wandb_run") == run_id]
    return next((run.path for run in mine if goes_on(run, config)), None)


def stopped(run: str, config: Config) -> Path | None:
    """The folder of a run below the configuration's `runs_dir`, if it can go on."""
    record = read_run(Path(config.runs_dir) / run) if run else None
    return record.path if record and goes_on(record, config) else None


def ended_run(config: Config, commit: str | None = None) -> Record | None:
    """The run of this configuration and seed that is over: finished, or diverged; None: none is.

    Args:
        config: As `speed.settle` leaves it.
        commit: That the run must be of; None: any.
    """
    about = config.runs_dir, config.key, config.seed, commit, config.test
    return finished(*about, or_diverged=True, data_dir=config.folder)


def stopped_in_group(config: Config, commit: str | None = None) -> Path | None:
    """The folder of a run of this configuration, of its group and commit too, that can go on."""
    there = Path(config.runs_dir).expanduser().is_dir()
    mine = [run for run in read_runs(config.runs_dir) if goes_on(run, config)] if there else []
    mine = [run for run in mine if config.folder in (None, run.config.get("data_dir"))]
    mine = [run for run in mine if commit in (None, run.about.get("commit"))]
    return next((run.path for run in mine if run.config.get("group") == config.group), None)


def goes_on(record: Record, config: Config) -> bool:
    """Whether a run of this configuration was ended before its time, and nobody goes on with it."""
    names = [*own_fields(config), *LIMITS]
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    before = defaults | config.recorded(record.config)  # of before a field was there: its default
    same = all(getattr(config, name) in ("auto", before.get(name)) for name in names)
    unfinished = record.status != "finished" and record.model == config.model
    return same and unfinished and not is_running(record.path)


def at_home(folder: Path, config: Config) -> Config:
    """The configuration of a run that goes on in its folder."""
    return dataclasses.replace(config, runs_dir=str(folder.parent))
