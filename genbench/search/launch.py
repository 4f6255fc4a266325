"""A trial as W&B's agent would start it: a process, by the sweep file's own `command:`.

What the agent and the server do for `wandb agent` is done here without a server: the program is
given its parameters as flags and the WANDB_ variables, its record is read while it grows, and
where early termination says so it is sent SIGTERM.
"""

import dataclasses
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
import yaml

from genbench import UserError, signals
from genbench.environment import LOCAL_SWEEP, for_program
from genbench.evaluate.distances import check_logged
from genbench.files import DiskError, writing
from genbench.metrics.stability import hopeless
from genbench.record import Record, read_run
from genbench.sweep import Sweep

POLL = 0.2  # seconds between two looks at the record
PATIENCE = 30  # seconds that the program has to end in good order


def launch(
    sweep: Sweep,
    trial: optuna.Trial,
    study: str,
    runs_dir: str,
    epochs: int,
    repeat: int | None = None,
) -> dict[str, float]:
    """Run a trial's program to its end; the scores of its best epoch.

    The trial is told the metric after every epoch, but of a repetition with the seed `repeat`. The
    study's name is its runs' group in W&B.

    Raises:
        UserError: The program cannot be started, or refuses its input.
        optuna.TrialPruned: It was stopped early, or diverged.
        RuntimeError: It failed.
    """
    end = "" if repeat is None else f"_{repeat}"
    run_name, id_name = f"run{end}", f"wandb_run{end}"
    run_id = trial.user_attrs.get(id_name, secrets.token_hex(4))  # of a first try
    trial.set_user_attr(id_name, run_id)
    values = _values(sweep, trial, runs_dir, repeat)
    command = expand(sweep, values)
    folder = Path(runs_dir)
    parameters = folder / "studies" / study / f"config-{run_id}.yaml"
    with writing(parameters):
        parameters.parent.mkdir(parents=True, exist_ok=True)
        parameters.write_text(yaml.safe_dump({"wandb_version": 1, **values}))
    variables = program_environment(sweep, study, run_id, parameters)
    before = set(folder.iterdir()) - {folder / trial.user_attrs.get(run_name, "")}
    record, why, told = None, "", 0
    with _process(command, variables) as process:
        while process.poll() is None and not why:
            signals.sleep(POLL)
            if not record and (record := _begun(sweep, folder, before, run_id)):
                trial.set_user_attr(run_name, record.path.name)
            if record and repeat is None:
                rows = dataclasses.replace(record).metrics()  # as the file is now
                before_now, told = told, _report(sweep, trial, rows, told)
                why = _verdict(sweep, trial, rows) if before_now < told < epochs else ""
        if why:
            process.terminate()  # as W&B's agent does
    record = _find(folder, before, run_id)  # with what it left at its end
    if record and record.disk_refused:
        raise DiskError(f"{record.path}: a file of it cannot be written, see above; then run again")
    if process.returncode == 2 or (process.returncode in (126, 127) and not record):
        raise UserError(f"{' '.join(command)}: exit code {process.returncode}, see above")
    if not record:
        raise UserError(f"{' '.join(command)}: left no record in {folder}; run it by hand")
    trial.set_user_attr(run_name, record.path.name)
    return _outcome(record, trial, why)


def _values(
    sweep: Sweep, trial: optuna.Trial, runs_dir: str, repeat: int | None
) -> dict[str, dict[str, Any]]:
    """What the program is given, as W&B's agent writes it."""
    values = sweep.fixed | trial.params
    if sweep.seeds:
        values["seed"] = sweep.seeds[0] if repeat is None else repeat
    if runs_dir != "runs":
        values["runs_dir"] = runs_dir
    return {name: {"value": value} for name, value in values.items()}


def expand(sweep: Sweep, values: dict[str, dict[str, Any]]) -> list[str]:
    """The command line, its macros filled in as W&B's agent fills them."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    macros = create_sweep_command_args({"args": values})
    macros |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [sweep.program]}
    line: list[str] = []
    for part in create_sweep_command(list(sweep.command) or None):
        part = str(part)
        is_macro = part.startswith("${") and part.endswith("}")
        line += macros.get(part[2:-1], []) if is_macro else [part]
    return line


def program_environment(sweep: Sweep, study: str, run_id: str, parameters: Path) -> dict[str, str]:
    """The variables that W&B's agent sets; the runs of the sweep are one group, and offline."""
    return for_program(
        Path(sys.executable).parent,  # `python` is this one, activated or not
        offered={"WANDB_MODE": "offline", "WANDB_RUN_GROUP": study},
        forced={
            "WANDB_SWEEP_ID": f"{LOCAL_SWEEP}{study}",
            "WANDB_RUN_ID": run_id,
            "WANDB_SWEEP_PARAM_PATH": str(parameters.resolve()),
        },
    )


@contextmanager
def _process(command: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen]:
    """The program; whatever happens in the block, it has ended after it.

    It is a process group of its own, as W&B's agent makes it: Ctrl-C at a terminal comes once, from
    here. Where util-linux is there, it is also told to stop if this process is killed with -9.
    """
    if not shutil.which(command[0], path=variables["PATH"]):
        raise UserError(f"command: {command[0]} cannot be started; is it installed?")
    stop = signals.stop_signal()
    if setpriv := shutil.which("setpriv"):
        command = [setpriv, "--pdeathsig", stop.name.removeprefix("SIG"), *command]
    process = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, process_group=0)
    try:
        yield process
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, stop)
        raise
    finally:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _begun(sweep: Sweep, folder: Path, before: set[Path], run_id: str) -> Record | None:
    """The run's record, once it is there; a `UserError` if it will not have the sweep's metric."""
    record = _find(folder, before, run_id)
    if record and "val" in record.about.get("images", {}) and "eval_images" in record.config:
        n = min(record.config["eval_images"], record.about["images"]["val"])
        check_logged(sweep.metric.removeprefix("val/"), n)
    return record


def _find(folder: Path, before: set[Path], run_id: str) -> Record | None:
    """The newest record of the run with W&B's id `run_id`, of those that were not there before."""
    new = sorted(set(folder.iterdir()) - before, reverse=True)
    records = [read_run(path) for path in new]  # None: not there yet
    return next((run for run in records if run and run.about.get("wandb_run") == run_id), None)


def _report(sweep: Sweep, trial: optuna.Trial, rows: list[dict[str, Any]], told: int) -> int:
    """Report the metric of the epochs after `told`; the last epoch that has been reported."""
    if len(trial.study.directions) > 1:  # Trial.report raises
        return 0
    name = sweep.metric.removeprefix("val/")
    for row in rows:
        epoch = round(row["epoch"])
        if row["split"] == "val" and name in row and epoch > told:
            trial.report(row[name], epoch)
            told = epoch
    return told


def _verdict(sweep: Sweep, trial: optuna.Trial, rows: list[dict[str, Any]]) -> str:
    """Why the run is to be stopped; empty: it is not."""
    if not sweep.stopping:
        return ""
    if sweep.family.adversarial and (why := hopeless(rows)):
        return why
    return f"{sweep.metric} is worse than other trials'" if trial.should_prune() else ""


def _outcome(record: Record, trial: optuna.Trial, why: str) -> dict[str, float]:
    """The scores of a run that has ended, or the exception that says how it ended."""
    if record.status == "finished":
        return record.scores
    error = record.summary.get("error", "its process died")
    if why or record.status == "pruned" or record.diverged:
        raise optuna.TrialPruned(why or error)
    raise RuntimeError(error)
