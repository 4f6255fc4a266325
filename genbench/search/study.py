"""Optuna's study of a search: its storage, what it tries first, who proposes and who prunes."""

import itertools
import os
import platform
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from genbench import UserError
from genbench.run import first_line, masked
from genbench.sweep import Stopping

HEARTBEAT = 10  # seconds between two signs of life of a running trial
GRACE = 60  # seconds without one after which its process is taken for dead
RETRIED = "retry_of"  # user attribute of the second try of a trial whose process died
READY = "ready"  # user attribute of a study whose first trials are all enqueued


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
            deadline = time.monotonic() + 30
            while READY not in study.user_attrs and time.monotonic() < deadline:
                time.sleep(0.1)
        if READY not in study.user_attrs:
            prepare(study)
            study.set_user_attr(READY, True)
    except Exception as error:  # SQLAlchemy's and its drivers' errors have no common base
        hint = ""
        if isinstance(error, ImportError):
            hint = "; pip install 'genbench[postgresql]' has PostgreSQL's driver"
        shown = masked(f"storage={url}: cannot be opened ({first_line(error)}){hint}")
        raise UserError(shown) from error
    return study


def _open_storage(url: str) -> RDBStorage:
    """The storage; again where another process is just making its tables."""
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
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


def ask(study: optuna.Study, space: dict[str, Any]) -> optuna.Trial:
    """The next trial; one that a dead process left behind comes first."""
    fail_stale(study)
    with warnings.catch_warnings():  # that `optimize` would beat the heart: `heartbeat` does
        warnings.simplefilter("ignore", UserWarning)
        trial = study.ask(space)
    storage: Any = study._storage
    storage.record_heartbeat(trial._trial_id)  # at once: without one nobody would miss it
    return trial


def give_up(study: optuna.Study, number: int) -> bool:
    """Fail a trial whose process is known to be dead, and enqueue it again.

    Returns:
        Whether it will be run again: not if it had ended, or was a second try itself.
    """
    trial = study.get_trials(deepcopy=False)[number]
    if trial.state != TrialState.RUNNING:
        return False
    study.tell(number, state=TrialState.FAIL)
    return _retry(study, trial)


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


def grid(space: dict[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the choices."""
    choices = [distribution.choices for distribution in space.values()]
    return [dict(zip(space, point, strict=True)) for point in itertools.product(*choices)]


def enqueue_grid(study: optuna.Study, space: dict[str, CategoricalDistribution]) -> None:
    """Enqueue every point of the grid; one that is there already is left out."""
    there = [point(trial) for trial in study.get_trials(deepcopy=False)]
    for one in grid(space):
        if one not in there:
            study.enqueue_trial(one)


def point(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters of a trial, also before it runs."""
    return trial.params or trial.system_attrs.get("fixed_params", {})


def was_enqueued(trial: FrozenTrial) -> bool:
    """Whether its point was given, not proposed by the sampler."""
    return "fixed_params" in trial.system_attrs


def make_sampler(method: str, seed: int, crowded: bool = False) -> optuna.samplers.BaseSampler:
    """TPE for `bayes` (Bergstra et al. 2011), else uniform random.

    Args:
        method: Of the sweep.
        seed: The same seed proposes the same points.
        crowded: Others propose at the same time: keep away from what they are trying, and do not
            repeat their random numbers.
    """
    if crowded:
        seed = hash((seed, platform.node(), os.getpid())) % 2**32
    if method == "bayes":
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, constant_liar=crowded)
    return optuna.samplers.RandomSampler(seed=seed)


def make_pruner(stopping: Stopping | None) -> optuna.pruners.BasePruner:
    """`early_terminate` as a pruner.

    hyperband is asynchronous successive halving (Li et al. 2020), as in W&B.
    """
    if stopping is None:
        return optuna.pruners.NopPruner()
    if stopping.type == "median":
        return optuna.pruners.MedianPruner(n_warmup_steps=stopping.min_iter)
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=stopping.min_iter, reduction_factor=stopping.eta
    )
