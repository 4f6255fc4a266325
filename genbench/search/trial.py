"""A trial: what is trained, how it ends, what its record says of it and Optuna is told."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import fmean
from typing import IO, TYPE_CHECKING

import optuna
import torch
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from genbench import UserError
from genbench.console import first_line
from genbench.files import DiskError
from genbench.handlers import Diverged
from genbench.record import read_run
from genbench.record.provenance import git
from genbench.resume import stopped
from genbench.search.launch import launch
from genbench.search.plan import repeated
from genbench.search.proposals import suggest
from genbench.search.record import show_params
from genbench.search.study import GRACE, REPEATS, WORKER
from genbench.train import train, train_once

if TYPE_CHECKING:
    from genbench.search.search import Search

TAKEN = (
    f"no sign of life for {GRACE} s (was the machine asleep?): another process took it "
    "for dead and runs it again"
)


class TrialFailed(Exception):
    """A trial failed, and the study goes on."""


class LeaveOptimize(BaseException):
    """Leaves `study.optimize`, which else tells the study of every Exception and Ctrl-C.

    Where another process has ended the trial, or the database is gone, telling fails with a
    ValueError or UnboundLocalError. Its arguments: the trial's number, and what was raised.
    """


def run_trial(search: "Search", title: str, turn: IO[str]) -> None:
    """Run the next trial, and write what the study knows then; the turn ends when it has begun.

    `optimize` is called for each trial, since what may end a search is looked at before the next.
    A trial's memory is free for the next one, also if it failed because that was too little.
    """

    def objective(trial: optuna.Trial) -> list[float]:
        with _ending(trial):
            suggest(trial, search.sweep.space)
            trial.set_user_attr(WORKER, f"{search.crew}-{os.getpid()}")
            turn.close()
            if search.sweep.method == "grid" and repeated(search.study, trial.number):
                trial.set_user_attr(REPEATS, True)
                raise TrialFailed
            return _values(search, title, trial)

    def say_end(study: optuna.Study, trial: FrozenTrial) -> None:
        if REPEATS not in trial.user_attrs:
            print(f"{title}: {_outcome(search, trial)}  ({show_params(trial.params)})", flush=True)

    try:
        search.study.optimize(
            objective,
            n_trials=1,
            catch=(TrialFailed,),
            callbacks=[say_end],
            gc_after_trial=True,  # handlers and tracebacks are cycles that hold the model
        )
    except UnboundLocalError as error:  # the database is gone just when the study is told
        raise error.__context__ or error from None
    except LeaveOptimize as left:
        number, why = left.args
        if not isinstance(why, UpdateFinishedTrialError):
            raise why from why.__cause__
        say_end(search.study, search.study.trials[number])
    finally:
        torch.cuda.empty_cache()
        search.write()


@contextmanager
def _ending(trial: optuna.Trial) -> Iterator[None]:
    """Note in the trial how the block ended, and raise what makes `study.optimize` do right.

    One that diverged is pruned. Bad input ends the search; but once a trial was completed, it is
    this trial's values that will not do, and it alone fails. A disk that refuses to be written
    ends the search in any case.
    """
    start = time.monotonic()
    try:
        try:
            yield
        except (StorageInternalError, UpdateFinishedTrialError, TrialFailed, DiskError):
            raise
        except (optuna.TrialPruned, Diverged) as error:
            _note(trial, start, pruned=str(error))
            raise optuna.TrialPruned(str(error)) from error
        except UserError as error:
            _note(trial, start, error=str(error))
            if trial.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                raise TrialFailed from error
            raise
        except Exception as error:
            _note(trial, start, error=_what_failed(error))
            raise TrialFailed from error
        _note(trial, start)
    except (StorageInternalError, UpdateFinishedTrialError) as error:
        raise LeaveOptimize(trial.number, error) from error
    except (KeyboardInterrupt, SystemExit, DiskError) as error:
        with suppress(StorageInternalError):
            if isinstance(error, DiskError):
                trial.set_user_attr("error", str(error))
            trial.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        raise LeaveOptimize(trial.number, error) from error


def _what_failed(error: Exception) -> str:
    short = isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error) for words in ("can't allocate memory", "ALLOC_FAILED")
    )
    what = "out of memory" if short else type(error).__name__
    return f"{what}: {first_line(error)}"


def _note(trial: optuna.Trial, start: float, **notes: str) -> None:
    """Set user attributes of a trial that ends; raises where another process has ended it."""
    for name, note in notes.items():
        trial.set_user_attr(name, note)
    trial.set_user_attr("seconds", round(time.monotonic() - start, 2))


def _values(search: "Search", title: str, trial: optuna.Trial) -> list[float]:
    """Train as the trial says, over all seeds; its objectives, of which the metric is the mean.

    The first seed's training may prune the trial.
    """
    metric, values = search.sweep.metric, []
    for seed in search.seeds:
        named = f"{title}, seed {seed}" if len(search.seeds) > 1 else title
        scores = _scores(search, named, trial, seed)
        if metric not in scores:
            raise UserError(f"metric: {metric} is never logged; known: {', '.join(scores)}")
        values.append(scores[metric])
    if not search.options.pareto:
        return [fmean(values)]
    record = read_run(Path(search.options.runs_dir) / trial.user_attrs["run"])
    assert record
    sizes = {"seconds": record.summary.get("seconds", math.nan)} | trial.params
    return [fmean(values), float(sizes[search.objectives[1]])]


def _scores(search: "Search", title: str, trial: optuna.Trial, seed: int) -> dict[str, float]:
    """Train as the trial says with one seed; a first seed is reported to Optuna while it trains."""
    o = search.options
    try:
        config = search.make_config(
            trial.params, seed=seed, group=search.name, save=False, job_type="trial"
        )
    except UserError as error:  # the flags and the file are good: two drawn values are not
        raise ValueError(error) from error
    first = seed == search.seeds[0]
    if search.launched:
        repeat = None if first else seed
        return launch(search.sweep, trial, search.name, o.runs_dir, config.epochs, repeat)
    if not first:
        scores = train_once(config, title, git("rev-parse", "HEAD"))
        if scores is None:
            raise optuna.TrialPruned(f"diverged with seed {seed}")
        return scores
    # Trial.report raises in a study of several objectives
    prune_on = "" if o.pareto else search.sweep.metric.removeprefix("val/")
    resume = stopped(trial.user_attrs.get("run", ""), config)
    return train(config, resume=resume, trial=trial, prune_on=prune_on, title=title)


def _outcome(search: "Search", trial: FrozenTrial) -> str:
    if trial.state == TrialState.COMPLETE:
        return f"{search.sweep.metric} {trial.values[0]:.5g}"
    if trial.state == TrialState.FAIL:
        unnoted = "its score is not a number" if "seconds" in trial.user_attrs else TAKEN
        return f"failed: {trial.user_attrs.get('error', unnoted)}"
    return trial.state.name.lower()
