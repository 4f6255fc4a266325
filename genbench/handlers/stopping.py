"""Ctrl-C and SIGTERM while a training takes its steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ignite.engine import Engine, Events

from genbench import parallel, signals
from genbench.handlers.training import mid_epoch


@contextmanager
def signals_between_steps(trainer: Engine, keep: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the step, and of the epoch after its last step.

    In the middle of a file being written they would tear it, and the writer may turn the
    KeyboardInterrupt into an error of its own, which a search takes for a failed trial. In
    mid-epoch `keep` is called first: it writes the checkpoint that an epoch's end has anyway.
    Several processes end after the same step, whichever of them a signal reaches first.
    """

    @trainer.on(Events.ITERATION_COMPLETED)
    def within() -> None:
        if stop_asked() and mid_epoch(trainer):
            keep()
            signals.check()

    @trainer.on(Events.EPOCH_COMPLETED)
    def between() -> None:
        if stop_asked():
            signals.check()

    with signals.noted():
        yield


def stop_asked() -> bool:
    """Whether a signal waits, which came to this process or to another one of the training."""
    number = int(parallel.most(signals.waiting()))
    if number and not signals.waiting():
        signals.came_elsewhere(number)
    return number > 0
