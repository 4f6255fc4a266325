"""Optuna's study of a search: its storage, and trials whose processes live or die."""

import datetime
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import optuna
from optuna.exceptions import (
    DuplicatedStudyError,
    ExperimentalWarning,
    StorageInternalError,
    UpdateFinishedTrialError,
)
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from genbench import UserError
from genbench.console import first_line, say
from genbench.record.provenance import masked

HEARTBEAT = 10  # seconds between two signs of life of a running trial
GRACE = 60  # seconds without one after which its process is taken for dead
PATIENCE = 30  # seconds without a new trial after which who makes a study is taken for dead
# User attributes.
RETRIED = "retry_of"  # of the second try of a trial whose process died
REPEATS = "repeats"  # of a trial that was not run: another one has its point of the grid
BEATS = "beats"  # of a trial that has given a first sign of life
READY = "ready"  # of a study whose first trials are all enqueued


def open_study(
    name: str, url: str, directions: list[Any], prepare: Callable[[optuna.Study], None]
) -> optuna.Study:
    """Make the study or continue it; trials of processes that died are run again, once.

    Of several processes that open a new study at once, one makes it and enqueues its first trials
    (`prepare`), and the others wait until it has.

    Raises:
        UserError: The storage cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = _open_storage(url)
        try:
            study = optuna.create_study(storage=storage, study_name=name, directions=directions)
        except DuplicatedStudyError:
            study = optuna.load_study(storage=storage, study_name=name)
            _wait_for_maker(study)
        if READY not in study.user_attrs:
            prepare(study)
            study.set_user_attr(READY, True)
    except UserError:
        raise
    except Exception as error:  # SQLAlchemy's and its drivers' errors have no common base
        hint = ""
        if isinstance(error, ImportError):
            hint = "; pip install 'genbench[postgresql]' has PostgreSQL's driver"
        shown = masked(f"storage={url}: cannot be opened ({first_line(error)}){hint}")
        raise UserError(shown) from error
    return study


def _wait_for_maker(study: optuna.Study) -> None:
    """Wait until the study is ready, or whoever makes it adds no trial any more."""
    there, deadline = 0, time.monotonic() + PATIENCE
    if READY not in study.user_attrs:
        say(f"{study.study_name}: another process is making the study, or did not finish; waiting")
    while READY not in study.user_attrs and time.monotonic() < deadline:
        time.sleep(0.1)
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


def _open_storage(url: str) -> RDBStorage:
    """The storage; again where another process is just making its tables."""
    options: dict[str, Any] = {"pool_pre_ping": True}  # a server that was restarted is found again
    if url.startswith("sqlite"):
        options = {"connect_args": {"timeout": 60}}
    if url.startswith("postgresql://"):  # SQLAlchemy's driver for it depends on its version
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    for attempt in range(5):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return RDBStorage(
                    url,
                    engine_kwargs=options,
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                    heartbeat_stale_trial_callback=_retry,  # type: ignore[arg-type]  # its answer is for us
                )
        except Exception as error:
            if attempt == 4 or "exist" not in str(error):
                raise
            time.sleep(0.5)
    raise AssertionError("unreachable")


def _retry(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Enqueue a trial once more, the first time that its process died; whether it was."""
    params = point(trial)
    if not params or RETRIED in trial.user_attrs:
        return False
    kept = {k: v for k, v in trial.user_attrs.items() if k == "defaults"}
    study.enqueue_trial(params, user_attrs=kept | {RETRIED: trial.number})
    return True


def fail_stale(study: optuna.Study) -> None:
    """Fail the trials whose processes give no sign of life any more, and enqueue them again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        assert trial.datetime_start
        age = datetime.datetime.now() - trial.datetime_start
        if BEATS not in trial.user_attrs and age.total_seconds() > GRACE:
            give_up(study, trial.number)  # killed before its first sign of life


def ask(study: optuna.Study, space: dict[str, Any]) -> optuna.Trial:
    """The next trial; those that dead processes left behind are enqueued again before."""
    fail_stale(study)
    with warnings.catch_warnings():  # that `optimize` would beat the heart: `heartbeat` does
        warnings.simplefilter("ignore", UserWarning)
        trial = study.ask(space)
    storage: Any = study._storage
    storage.record_heartbeat(trial._trial_id)  # at once: Optuna misses no trial without one
    trial.set_user_attr(BEATS, True)
    return trial


def end(
    study: optuna.Study,
    trial: optuna.Trial,
    state: TrialState,
    values: list[float] | None,
    notes: dict[str, Any],
) -> bool:
    """Tell the study how a trial of ours ended.

    Returns:
        Whether it was ours to the end: not if another process has taken ours for dead, as when the
        machine was suspended; the trial is run again then.
    """
    with suppress(UpdateFinishedTrialError):
        for name, value in notes.items():
            trial.set_user_attr(name, value)
        study.tell(trial, values, state=state, skip_if_finished=True)
    return study.get_trials(deepcopy=False)[trial.number].state == state


def give_up(study: optuna.Study, number: int) -> bool:
    """Fail a trial whose process is known to be dead, and enqueue it again.

    Returns:
        Whether it will be run again: not if it had ended, or was a second try itself.
    """
    trial = study.get_trials(deepcopy=False)[number]
    if trial.state != TrialState.RUNNING:
        return False
    with suppress(UpdateFinishedTrialError, ValueError):  # another process was faster
        study.tell(number, state=TrialState.FAIL)
        return _retry(study, trial)
    return False


@contextmanager
def heartbeat(study: optuna.Study, trial: optuna.Trial) -> Iterator[None]:
    """Let the storage know, while the block runs, that this trial's process is alive."""
    over = threading.Event()
    storage: Any = study._storage

    def beat() -> None:
        while True:
            with suppress(Exception):  # a database that is busy now may not be so later
                storage.record_heartbeat(trial._trial_id)
            if over.wait(HEARTBEAT):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def point(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters of a trial, also before it runs."""
    return trial.params or trial.system_attrs.get("fixed_params", {})
