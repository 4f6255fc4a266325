"""Optuna's study of a search: its storage, its turns, and trials whose processes died."""

import datetime
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import optuna
import sqlalchemy
from optuna.exceptions import DuplicatedStudyError, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from genbench import UserError, signals
from genbench.console import first_line, say
from genbench.files import locked, writing
from genbench.record.provenance import masked

HEARTBEAT = 10  # seconds between two signs of life of a running trial
GRACE = 60  # seconds without one after which its process is taken for dead
PATIENCE = 30  # seconds without a new trial after which who makes a study is taken for dead
# User attributes.
WORKER = "worker"  # of a trial that has begun: the search and the process that run it
REPEATS = "repeats"  # of a trial that was not run: another one has its point of the grid
BEAT = "beat"  # of a running trial, through the proxy: its process lives
READY = "ready"  # of a study whose first trials are all enqueued


def database(runs_dir: str, storage: str) -> str:
    """The URL of a study's database: the one that is named, else a file in `runs_dir`."""
    return storage or f"sqlite:///{runs_dir}/optuna.db"


def open_study(
    name: str, url: str, directions: list[Any], prepare: Callable[[optuna.Study], None]
) -> optuna.Study:
    """Make the study or continue it; a `UserError` if the storage cannot be opened.

    Of several processes that open a new study at once, one makes it and enqueues its first trials
    (`prepare`), and the others wait until it has.
    """
    try:
        storage = _connect(url)
        try:
            study = optuna.create_study(storage=storage, study_name=name, directions=directions)
        except DuplicatedStudyError:
            study = optuna.load_study(storage=storage, study_name=name)
            _wait_for_maker(study)
        if READY not in study.user_attrs:
            prepare(study)
            study.set_user_attr(READY, True)
    except Exception as error:  # SQLAlchemy's and its drivers' errors have no common base
        raise cannot_open(url, error) from error
    return study


def cannot_open(url: str, error: Exception) -> UserError:
    """What to say of a storage that cannot be opened."""
    hint = ""
    if isinstance(error, ImportError):
        extra, what = (
            ("grpc", "gRPC") if url.startswith("grpc:") else ("postgresql", "PostgreSQL's driver")
        )
        hint = f"; pip install 'genbench[{extra}]' has {what}"
    return UserError(masked(f"storage={url}: cannot be opened ({first_line(error)}){hint}"))


def _connect(url: str) -> BaseStorage:
    """The database, or the proxy before one."""
    if not url.startswith("grpc:"):
        return open_storage(url)
    from genbench.search.proxy import Proxy

    return Proxy(url)


def _wait_for_maker(study: optuna.Study) -> None:
    """Wait until the study is ready, or whoever makes it adds no trial any more."""
    there, deadline = 0, time.monotonic() + PATIENCE
    if READY not in study.user_attrs:
        say(f"{study.study_name}: another process is making the study, or did not finish; waiting")
    while READY not in study.user_attrs and time.monotonic() < deadline:
        signals.sleep(0.1)
        now = len(study.get_trials(deepcopy=False))
        if now > there:
            there, deadline = now, time.monotonic() + PATIENCE


@contextmanager
def reachable() -> Iterator[None]:
    """Turn the failure of a study's database, while it is in use, into a `UserError`."""
    try:
        yield
    except StorageInternalError as error:
        why = first_line(error.__cause__ if isinstance(error.__cause__, Exception) else error)
        raise UserError(
            f"storage: the study's database fails ({masked(why)}); "
            "what is done is kept, and the same command goes on with it"
        ) from error


class Database(RDBStorage):
    """Optuna's database, which misses every trial whose process died."""

    def record_heartbeat(self, trial_id: int) -> None:
        """As Optuna does; but if the database is away for a moment, the next one is recorded.

        Optuna's thread would end with a traceback, and the living trial be taken for dead.
        """
        with suppress(StorageInternalError):
            super().record_heartbeat(trial_id)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """Optuna's, and the trials whose processes were killed before their first heartbeat."""
        stale = set(super()._get_stale_trial_ids(study_id))
        begun = datetime.datetime.now() - datetime.timedelta(seconds=GRACE)
        for trial in self.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,)):
            assert trial.datetime_start
            if WORKER not in trial.user_attrs and trial.datetime_start < begun:
                stale.add(trial._trial_id)
        return sorted(stale)


def open_storage(url: str, kind: type[Database] = Database, tries: int = 5) -> Database:
    """The storage; again where another process is just making its tables."""
    options: dict[str, Any] = {"pool_pre_ping": True}  # a server that was restarted is found again
    if url.startswith("sqlite"):
        options = {"connect_args": {"timeout": 60}}
    if url.startswith("postgresql://"):  # SQLAlchemy's driver for it depends on its version
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        storage = kind(
            url,
            engine_kwargs=options,
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=_retry,
        )
    except Exception as error:
        if tries == 1 or not re.search("exist|unique", str(error), re.IGNORECASE):
            raise
        time.sleep(0.5)
        return open_storage(url, kind, tries - 1)
    if storage.engine.name == "sqlite":  # else two that ask at once get the same waiting trial
        sqlalchemy.event.listen(storage.engine, "begin", _lock)
    return storage


def _lock(connection: sqlalchemy.Connection) -> None:
    """Begin a transaction of SQLite's as the only one: what it reads stands until it writes."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def turn(file: Path) -> IO[str]:
    """Wait until no other process of this machine looks what is left and takes the next trial.

    The turn ends when the file that is returned is closed; the system closes that of a process
    that is killed.
    """
    path = file.with_suffix(".lock")
    with writing(path):
        lock = path.open("w")
    locked(lock, wait=True)
    return lock


def kept(trial: FrozenTrial) -> dict[str, Any]:
    """The user attributes that a second try of the trial has too: its runs, which go on."""
    starts = ("defaults", "run", "wandb_run")
    return {name: value for name, value in trial.user_attrs.items() if name.startswith(starts)}


def _retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Enqueue a trial once more, the first time that its process died."""
    trial.user_attrs = kept(trial)  # Optuna copies them all
    RetryHeartbeatStaleTrialCallback(max_retry=1)(study, trial)


def first_try(trial: FrozenTrial) -> int | None:
    """The number of the trial, whose process died, that this one runs again."""
    return RetryHeartbeatStaleTrialCallback.retried_trial_number(trial)


def fail_stale(study: optuna.Study) -> None:
    """Fail the trials whose processes give no sign of life any more, and enqueue them again."""
    optuna.storages.fail_stale_trials(study)


def give_up(study: optuna.Study, number: int) -> bool:
    """Fail a trial whose process is known to be dead, and enqueue it again; whether it was.

    It is not if it had ended, or was a second try itself.
    """
    trial = study.trials[number]
    if trial.state != TrialState.RUNNING:
        return False
    with suppress(UpdateFinishedTrialError, ValueError):  # another process was faster
        study.tell(number, state=TrialState.FAIL)
        return run_again(study, trial)
    return False


def run_again(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Enqueue a trial that has failed with its process; whether it was a first try."""
    _retry(study, trial)
    return first_try(trial) is None


def nearest_to_ideal(study: optuna.Study) -> FrozenTrial:
    """Of the trials beaten in all objectives by none, the nearest to the best of each (0 to 1)."""
    front = study.best_trials
    values = np.array([trial.values for trial in front])
    values *= [-1 if d == StudyDirection.MAXIMIZE else 1 for d in study.directions]
    span = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(span > 0, span, 1)
    return front[np.square(scaled).sum(axis=1).argmin()]
