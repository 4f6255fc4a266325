"""Several processes at one study, each with its share of the cores."""

import dataclasses
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

import torch
from optuna.trial import FrozenTrial, TrialState

from genbench import UserError, environment, signals
from genbench.console import lenient_output, say
from genbench.search import plan
from genbench.search.study import REPEATS, WORKER, first_try, give_up, run_again

if TYPE_CHECKING:
    from genbench.search.search import Search

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PATIENCE = 40  # seconds that a worker has to end its step when it is told to stop


@dataclasses.dataclass
class Worker:
    """A process that runs trials of a search, and a wire, for what it finds wrong with the input.

    Whatever it is sent, or the death of the parent, tells it to start no other trial.
    """

    process: Any
    wire: Connection
    index: int

    def killed_by(self) -> int:
        """The signal that ended it; 0: none did."""
        code = self.process.exitcode
        if code == 128 + signal.SIGTERM:  # caught, and ended in good order
            return signal.SIGTERM
        return -min(0, code)

    def error(self) -> str:
        """Why it ended by itself before the search was over; empty: it did not."""
        code = self.process.exitcode
        if code == 2 and self.wire.poll():
            return self.wire.recv()
        return f"a worker failed (exit code {code}), see above" if code else ""


def run_workers(search: "Search", todo: int) -> None:
    """Run `todo` trials of the search in `options.workers` processes.

    A worker that is killed is replaced, and its trial is marked as failed and run once more. What
    a worker finds wrong with the input, or many deaths, end the search with a `UserError`.
    """
    n = min(search.options.workers, todo)
    deaths, error = 0, ""
    workers = [_start(search, todo, i, n) for i in range(n)]
    try:
        while workers:
            ended = wait([worker.process.sentinel for worker in workers], signals.POLL)
            signals.check()
            if not ended:
                continue
            worker = next(w for w in workers if w.process.sentinel in ended)
            workers.remove(worker)
            worker.process.join()
            killed = worker.killed_by()
            if killed and not error:
                deaths += 1
                _say_lost(search, worker, killed)
                if deaths > 2 * n:
                    error = f"workers={n}: killed again and again; is memory short?"
                else:
                    workers.append(_start(search, todo, worker.index, n))
            error = error or ("" if killed else worker.error())
            for other in workers if error else []:
                with suppress(OSError):  # it has ended too
                    other.wire.send("stop")
    finally:
        _stop(workers)
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


def _stop(workers: list[Worker]) -> None:
    """End what still runs, in good order: a trial that is cut short is recorded as failed."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(PATIENCE)
        worker.process.kill()


def _start(search: "Search", todo: int, index: int, n: int) -> Worker:
    context = multiprocessing.get_context("spawn")
    wire, far_end = context.Pipe()
    options = dataclasses.replace(search.options, workers=1)
    settings = (search.sweep, options, search.launched, search.crew, search.begun)
    process = context.Process(target=_work, args=(settings, todo, far_end), daemon=True)
    resource_tracker.ensure_running()  # who starts it unblocks Ctrl-C
    # a worker that is still importing must not answer Ctrl-C by a traceback
    with environment.changed(**_variables(index, n)), signals.held_back():
        process.start()
    far_end.close()
    return Worker(process, wire, index)


def _variables(index: int, n: int) -> dict[str, str | None]:
    """The environment of a worker: its threads, its GPU, its place among the progress bars."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = str(max(1, (cores or n) // n))
    variables: dict[str, str | None] = dict.fromkeys(THREADS, threads)
    gpus = environment.gpus(torch.cuda.device_count())
    if len(gpus) > 1:
        variables["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
    return variables | {"TQDM_POSITION": str(index)}


def _work(settings: tuple[Any, ...], todo: int, wire: Connection) -> None:
    """What a worker's process does: its part of the search's trials."""
    from genbench.search.search import Search

    sweep, options, launched, crew, begun = settings
    try:
        with lenient_output(), signals.owned():
            signals.ready()
            Search(sweep, options, launched, crew, begun).work(todo, stop=wire.poll)
    except UserError as error:
        with suppress(OSError):  # the parent is gone
            wire.send(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
