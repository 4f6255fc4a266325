"""Several processes at one study."""

import dataclasses
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from genbench import UserError
from genbench.console import say
from genbench.crew import Worker, ended, start, stop
from genbench.search import plan
from genbench.search.study import REPEATS, WORKER, first_try, give_up, run_again

if TYPE_CHECKING:
    from genbench.search.search import Search


def run_workers(search: "Search", todo: int) -> None:
    """Run `todo` trials of the search in `options.workers` processes.

    A worker that is killed is replaced, and its trial is marked as failed and run once more. What
    a worker finds wrong with the input, or many deaths, end the search with a `UserError`.
    """
    n = min(search.options.workers, todo)
    deaths, error = 0, ""
    workers = {i: _start(search, todo, i, n) for i in range(n)}
    try:
        while workers:
            for i in ended(workers):
                worker = workers.pop(i)
                killed = worker.killed_by()
                if killed and not error:
                    deaths += 1
                    _say_lost(search, worker, killed)
                    if deaths > 2 * n:
                        error = f"workers={n}: killed again and again; is memory short?"
                    else:
                        workers[i] = _start(search, todo, i, n)
                error = error or ("" if killed else worker.error())
            for other in workers.values() if error else []:
                with suppress(OSError):  # it has ended too
                    other.wire.send("stop")
    finally:
        stop(list(workers.values()))
    if error:
        raise UserError(error)
    done = plan.count(search.study, plan.BEGUN, search.crew)
    if done < todo:
        plan.goes_on(search, done)  # says why not


def _say_lost(search: "Search", worker: Worker, number: int) -> None:
    """Say that a worker was killed; the trial that it ran is failed, and enqueued again."""
    name = signal.Signals(number).name
    worker_name = f"{search.crew}-{worker.process.pid}"
    trials = search.study.get_trials(deepcopy=False)
    again = {first_try(trial) for trial in trials}
    own = [t for t in trials if t.user_attrs.get(WORKER) == worker_name and t.number not in again]
    running = [trial.number for trial in own if trial.state == TrialState.RUNNING]
    lost = running + [trial.number for trial in own if _is_cut_short(trial)]
    if not lost:
        say(f"a worker was killed ({name}); another takes its place")
    for trial in lost:
        if trial in running:
            first = give_up(search.study, trial)
        else:
            first = run_again(search.study, search.study.trials[trial])
        what = "it is run again" if first else "it is not run a third time"
        say(f"a worker was killed ({name}) in trial {trial}: the trial failed, {what}")
    search.write()


def _is_cut_short(trial: FrozenTrial) -> bool:
    """Whether its process was told to end, and said so of it."""
    return trial.state == TrialState.FAIL and not {"seconds", REPEATS} & trial.user_attrs.keys()


def _start(search: "Search", todo: int, index: int, n: int) -> Worker:
    options = dataclasses.replace(search.options, workers=1)
    settings = (search.sweep, options, search.launched, search.crew, search.begun)
    return start(_work, (settings, todo), index, n)


def _work(settings: tuple[Any, ...], todo: int, wire: Connection) -> None:
    """What a worker's process does: its part of the search's trials, until the wire says stop."""
    from genbench.search.search import Search

    sweep, options, launched, crew, begun = settings
    Search(sweep, options, launched, crew, begun).work(todo, stop=wire.poll)
