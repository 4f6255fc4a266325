"""Several processes at one study, each with its share of the cores."""

import dataclasses
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from genbench import UserError
from genbench.console import say
from genbench.search.study import give_up

if TYPE_CHECKING:
    from genbench.search.search import Search

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PATIENCE = 40  # seconds that a worker has to end its step when it is told to stop


@dataclasses.dataclass
class Worker:
    """A process that runs one trial after another, and the wire to it."""

    process: Any
    wire: Connection
    index: int
    ready: bool = False  # asks for a trial
    busy: bool = False  # with a trial, whose number is known once it has begun
    trial: int | None = None


def share(search: "Search", todo: int) -> None:
    """Run `todo` trials of the search in `options.workers` processes.

    A worker that is killed is replaced, and its trial is marked as failed and run once more.

    Raises:
        UserError: What a worker found wrong with the input, or workers are killed again and again.
    """
    n = min(search.options.workers, todo)
    left, deaths, error = todo, 0, ""
    workers = [_start(search, i, n) for i in range(n)]
    try:
        while workers:
            for wire in wait([worker.wire for worker in workers]):
                worker = next(w for w in workers if w.wire is wire)
                try:
                    what, value = worker.wire.recv()
                except (EOFError, OSError):
                    workers.remove(worker)
                    worker.process.join()
                    code = _signal(worker.process.exitcode)
                    if code > 0 and not error:
                        deaths += 1
                        left += _lost(search, worker, code)
                        if deaths > 2 * n:
                            error = f"workers={n}: killed again and again; is memory short?"
                        elif left:
                            workers.append(_start(search, worker.index, n))
                    elif code and not error:
                        error = f"a worker failed (exit code {worker.process.exitcode}), see above"
                    continue
                if what == "running":
                    worker.trial = value
                elif what == "error":
                    error = value
                elif what == "ready":
                    worker.busy, worker.ready, worker.trial = False, True, None
            for worker in [worker for worker in workers if worker.ready]:
                if any(other.busy and other.trial is None for other in workers):
                    break  # one at a time: SQLite would give two the same waiting trial
                goes_on = left > 0 and not error and search.goes_on(todo - left)
                title = f"{search.family.name} trial {todo - left + 1}/{todo}"
                worker.ready, worker.busy = False, goes_on
                left -= goes_on
                with suppress(OSError):  # it is dead: the next look at its wire says so
                    worker.wire.send(title if goes_on else None)
    finally:
        _stop(workers)
    if error:
        raise UserError(error)


def _signal(code: int) -> int:
    """The signal that ended a process; 0 of one that ended well, -1 of one that failed itself."""
    if code == 128 + signal.SIGTERM:  # caught, and ended in good order
        return signal.SIGTERM
    return -code if code < 0 else -bool(code)


def _lost(search: "Search", worker: Worker, number: int) -> int:
    """Say that a worker was killed; 1 if it leaves a trial to be run, else 0."""
    name = signal.Signals(number).name
    if worker.trial is None:
        say(f"a worker was killed ({name}) between two trials; another takes its place")
        return int(worker.busy)
    again = give_up(search.study, worker.trial)
    search.write()
    what = "it is run again" if again else "it is not run a third time"
    say(f"a worker was killed ({name}) in trial {worker.trial}: the trial failed, {what}")
    return int(again)


def _stop(workers: list[Worker]) -> None:
    """End what still runs, in good order: a trial that is cut short is recorded as failed."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(PATIENCE)
        worker.process.kill()


def _start(search: "Search", index: int, n: int) -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    options = dataclasses.replace(search.options, workers=1)
    process = context.Process(
        target=_work, args=(search.sweep, options, search.launched, theirs), daemon=True
    )
    # a worker that is still importing must not answer Ctrl-C by a traceback: `_stop` ends it
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _share_of_cores(index, n):
            process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    theirs.close()
    return Worker(process, ours, index)


@contextmanager
def _share_of_cores(index: int, n: int) -> Iterator[None]:
    """The environment of a worker: its threads, its GPU, its place among the progress bars."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    mine = {name: str(max(1, (cores or n) // n)) for name in THREADS}
    gpus = _gpus()
    if len(gpus) > 1:
        mine["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
    mine["TQDM_POSITION"] = str(index)
    before = {name: os.environ.get(name) for name in mine}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    import torch

    return [str(i) for i in range(torch.cuda.device_count())]


def _work(sweep: Any, options: Any, launched: bool, wire: Connection) -> None:
    """What a worker does: it asks for leave before each trial."""
    from genbench.search.search import Search

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        search = Search(sweep, options, launched, crowded=True)
        while True:
            wire.send(("ready", None))
            title = wire.recv()
            if title is None:
                return
            search.run_trial(title, lambda number: wire.send(("running", number)))
    except UserError as error:
        wire.send(("error", str(error)))
    except (KeyboardInterrupt, EOFError, BrokenPipeError):  # Ctrl-C, or the parent is gone
        sys.exit(130)
