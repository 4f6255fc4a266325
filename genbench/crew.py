"""Processes side by side, each with its share of the cores: trainings, or a search's trials.

Two trainings with a thread each take less time together than one after the other with two: the
small networks here leave cores idle.
"""

import dataclasses
import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from genbench import UserError, environment, signals
from genbench.config import Config
from genbench.console import lenient_output
from genbench.resume import ended_run
from genbench.speed import settle
from genbench.train import train_once

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PATIENCE = 40  # seconds that a worker has to end its step when it is told to stop
_started = itertools.count()  # workers of this process


@dataclasses.dataclass
class Worker:
    """A process, and a wire, for what it finds wrong."""

    process: Any
    wire: Connection

    def killed_by(self) -> int:
        """The signal that ended it; 0: none did."""
        code = self.process.exitcode
        if code == 128 + signal.SIGTERM:  # caught, and ended in good order
            return signal.SIGTERM
        return -min(0, code)

    def error(self) -> str:
        """Why it ended by itself before all was done; empty: it did not."""
        code = self.process.exitcode
        if code == 2 and self.wire.poll():
            return self.wire.recv()
        return f"a worker failed (exit code {code}), see above" if code else ""


def train_all(
    jobs: Sequence[tuple[Config, str]], workers: int, commit: str | None = None
) -> list[dict[str, float] | None]:
    """`train_once` of each job, so many at a time, and what it returns, in the jobs' order.

    Args:
        jobs: Configurations, and what their progress bars say.
        workers: Processes; 1: all are trained here, one after the other.
        commit: As for `train_once`.

    Raises:
        UserError: A training cannot be; or its process was killed. The others end in good order,
            and all go on when they are asked for again.
    """
    if workers > 1:
        there = [ended_run(settle(config), commit) for config, _ in jobs]
        missing = [job for job, run in zip(jobs, there, strict=True) if not run]
        if len(missing) > 1:
            found = iter(_train_together(missing, min(workers, len(missing)), commit))
            return [next(found) if not run else run.outcome for run in there]
    return [train_once(config, title, commit) for config, title in jobs]


def _train_together(
    jobs: Sequence[tuple[Config, str]], n: int, commit: str | None
) -> list[dict[str, float] | None]:
    """Train the jobs in n processes at a time; what each found."""
    left, at = list(range(len(jobs))), dict[int, int]()  # which job is trained at each place
    found: dict[int, dict[str, float] | None] = {}
    crew: dict[int, Worker] = {}
    try:
        while left or crew:
            for place in [place for place in range(n) if place not in crew][: len(left)]:
                at[place] = left.pop(0)
                crew[place] = start(_train, (*jobs[at[place]], commit), place, n)
            for place in ended(crew):
                worker = crew.pop(place)
                _check(worker, jobs[at[place]][1])
                found[at[place]] = worker.wire.recv()
    finally:
        stop(list(crew.values()))
    return [found[i] for i in range(len(jobs))]


def _check(worker: Worker, title: str) -> None:
    """Raise a `UserError` if a training's process did not end well."""
    if killed := worker.killed_by():
        name = signal.Signals(killed).name
        raise UserError(f"{title}: killed ({name}); the same command goes on; is memory short?")
    if error := worker.error():
        raise UserError(error)


def _train(config: Config, title: str, commit: str | None, wire: Connection) -> None:
    wire.send(train_once(config, title, commit))


def start(target: Callable[..., None], args: tuple[Any, ...], index: int, n: int) -> Worker:
    """A process that calls `target(*args, wire)`, one of n.

    A `UserError` of it is sent by the wire. Whatever the wire brings it, or the death of the
    parent, may tell it to end (`wire.poll`).
    """
    context = multiprocessing.get_context("spawn")
    wire, far_end = context.Pipe()
    process = context.Process(target=_main, args=(target, args, far_end), daemon=True)
    resource_tracker.ensure_running()  # who starts it unblocks Ctrl-C
    # a worker that is still importing must not answer Ctrl-C by a traceback
    with environment.changed(**_variables(index, n)), signals.held_back():
        process.start()
    far_end.close()
    return Worker(process, wire)


def ended(workers: dict[int, Worker]) -> list[int]:
    """Those that end within a moment; Ctrl-C and SIGTERM are raised here."""
    wait([worker.process.sentinel for worker in workers.values()], signals.POLL)
    signals.check()
    over = [key for key, worker in workers.items() if not worker.process.is_alive()]
    for key in over:
        workers[key].process.join()
    return over


def stop(workers: Sequence[Worker]) -> None:
    """End what still runs, in good order: what is cut short can go on."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(PATIENCE)
        worker.process.kill()


def _variables(index: int, n: int) -> dict[str, str | None]:
    """The environment of a worker: threads, GPU, place among the bars, whether hints were given."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = str(max(1, (cores or n) // n))
    variables: dict[str, str | None] = dict.fromkeys(THREADS, threads)
    gpus = environment.gpus(torch.cuda.device_count())
    if len(gpus) > 1:
        variables["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
    hinted = "1" if next(_started) else None
    return variables | {"TQDM_POSITION": str(index), environment.HINTED: hinted}


def _main(target: Callable[..., None], args: tuple[Any, ...], wire: Connection) -> None:
    """What a worker's process does."""
    try:
        with lenient_output(), signals.owned():
            signals.ready()
            target(*args, wire)
    except UserError as error:
        with suppress(OSError):  # the parent is gone
            wire.send(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
