"""What every training has beside its steps: logs, validation, checkpoints, limits, progress."""

import logging
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping
from tqdm import tqdm

from genbench import parallel
from genbench.console import say
from genbench.engines import Means, eval_batches
from genbench.families.state import State
from genbench.model import Model
from genbench.record import Run

STRETCH, DRIFTED = 50, 1.5  # steps over which speed is measured; a change that is worth a word


class Diverged(RuntimeError):
    """A training scalar is no longer finite."""


def attach_training_log(trainer: Engine, run: Run, state: State, every: int) -> Means:
    """Log the running means of the training scalars, and stop at the first that is not finite.

    The scalars are summed on the device and read every `every` steps and at the epoch's end, so
    that a GPU is never waited for in between.
    """
    means = Means()

    @trainer.on(Events.ITERATION_COMPLETED)
    def add() -> None:
        means.add(trainer.state.output, len(trainer.state.batch[0]))  # type: ignore[arg-type, index]

    @trainer.on(Events.ITERATION_COMPLETED(every=every) | Events.EPOCH_COMPLETED)
    def log() -> None:
        mine = means.take()
        scalars = parallel.first(lambda: mine)
        if not scalars:
            return
        trainer.state.metrics.update(scalars)
        run.log("train", scalars, state.step, state.epoch)
        check_finite("train", scalars, state.step)

    return means


def check_finite(split: str, scalars: dict[str, float], step: int) -> None:
    """Raise `Diverged` for the first scalar that is not finite."""
    for name, value in scalars.items():
        if not math.isfinite(value):
            raise Diverged(f"{split}/{name} is {value} at step {step}; try a smaller --lr")


def attach_validation(trainer: Engine, evaluator: Engine, model: Model, run: Run) -> None:
    """Evaluate and log on the validation split after every epoch."""
    batches, state = eval_batches(model, "val"), model.state

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate() -> None:
        evaluator.run(batches)

    @evaluator.on(Events.COMPLETED)  # before what is attached later may end the run
    def log() -> None:
        mine = evaluator.state.metrics
        evaluator.state.metrics = parallel.first(lambda: mine)  # no two decide by unlike scores
        run.log("val", evaluator.state.metrics, state.step, state.epoch)
        check_finite("val", evaluator.state.metrics, state.step)


class Clock:
    """How many seconds the steps of a training took, those before a resume included.

    What happens between epochs (validation, samples, scores) does not count. Several processes go
    by the slowest one's.
    """

    def __init__(self, trainer: Engine):
        self.before, self.since = 0.0, 0.0  # seconds up to then; since when steps run, 0: none do
        trainer.add_event_handler(Events.EPOCH_STARTED, self.start)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self.stop)

    def start(self) -> None:
        """Steps begin."""
        self.since = time.monotonic()

    def stop(self) -> None:
        """Steps have ended."""
        self.before, self.since = self._until_now(), 0.0

    def _until_now(self) -> float:
        return self.before + (time.monotonic() - self.since if self.since else 0.0)

    @property
    def seconds(self) -> float:
        """So many until now; of several processes all have to ask."""
        return parallel.most(self._until_now())

    def state_dict(self) -> dict[str, Any]:
        """The seconds."""
        return {"seconds": self._until_now()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Count on from there."""
        self.before = saved["seconds"]


def attach_time_limit(trainer: Engine, minutes: float) -> Clock:
    """End the training once its steps have taken so many minutes; 0 never ends it.

    What happens between epochs does not count. The epoch that is cut short is completed as any. A
    machine that becomes busy makes steps longer, and the minutes buy fewer: that is said, once.
    """
    clock, said = Clock(trainer), False
    if not minutes:
        return clock
    marks: list[float] = []  # seconds at every so many steps; the first stretch warms up

    @trainer.on(Events.ITERATION_COMPLETED(every=STRETCH))
    def notice() -> None:
        nonlocal said
        marks.append(clock.seconds)
        if not said and (factor := slowdown(marks)):
            said = True
            say(
                f"steps take {factor:.1f} times as long as at the start, so that --minutes buy "
                "another number of them: compare models by --epochs, or on an idle machine"
            )

    @trainer.on(Events.ITERATION_COMPLETED)
    def watch() -> None:
        if clock.seconds >= 60 * minutes:
            trainer.terminate_epoch()

    @trainer.on(Events.STARTED | Events.EPOCH_COMPLETED)
    def end() -> None:
        if clock.seconds >= 60 * minutes:
            trainer.terminate()

    return clock


def slowdown(marks: Sequence[float]) -> float:
    """By which factor the last stretch of steps differs from the second one; 0 if by little.

    Args:
        marks: The seconds at the end of each stretch.
    """
    if len(marks) < 3:
        return 0.0
    first, last = marks[1] - marks[0], marks[-1] - marks[-2]
    factor = last / first if first > 0 else 1.0
    return factor if factor > DRIFTED or factor < 1 / DRIFTED else 0.0


def attach_lr_decay(trainer: Engine, state: State, clock: Clock) -> None:
    """Lower all learning rates linearly to 0 over the last part of the training; lr_decay 0: never.

    Args:
        trainer: Its epochs, or its time if that is shorter, are the length of the training.
        state: Its configuration says `lr_decay`, a share in [0, 1], and the limits; its optimisers
            are at their full learning rates, as they are built.
        clock: What of `minutes` is used up.
    """
    config = state.config
    if not config.lr_decay:
        return
    full = [group["lr"] for group in _groups(state)]

    @trainer.on(Events.ITERATION_STARTED)
    def lower() -> None:
        length = trainer.state.epoch_length
        assert length
        done = (trainer.state.iteration - 1) / (config.epochs * length)
        used = clock.seconds / (60 * config.minutes) if config.minutes else 0.0
        left = 1 - min(1.0, max(done, used))
        for group, lr in zip(_groups(state), full, strict=True):
            group["lr"] = lr * min(1.0, left / config.lr_decay)


def _groups(state: State) -> list[dict[str, Any]]:
    """The parameter groups of all optimisers; those of a checkpoint replace them."""
    return [group for each in state.optimizers.values() for group in each.param_groups]


def attach_early_stopping(
    trainer: Engine, evaluator: Engine, objective: tuple[str, str], patience: int
) -> EarlyStopping:
    """Stop after `patience` scored epochs without a better validation objective; 0 never stops."""
    name, direction = objective
    sign = 1 if direction == "maximize" else -1
    most = patience or sys.maxsize
    stopper = EarlyStopping(most, lambda engine: sign * engine.state.metrics[name], trainer)
    stopper.logger.setLevel(logging.CRITICAL)  # the bar shows where it ended

    @evaluator.on(Events.COMPLETED)
    def compare() -> None:
        if name in evaluator.state.metrics:
            stopper(evaluator)

    @trainer.on(Events.STARTED)  # of a resume
    def enough() -> None:
        if stopper.counter >= most:
            trainer.terminate()

    return stopper


@contextmanager
def progress_bar(trainer: Engine, evaluator: Engine, name: str, title: str) -> Iterator[None]:
    """A bar over all steps with the validation scalar `name`; a line an epoch off a terminal."""
    bar: tqdm = tqdm(desc=title, unit="step", leave=False, disable=None, mininterval=0.2)
    score = ""

    @trainer.on(Events.STARTED)
    def start() -> None:
        bar.reset(total=(trainer.state.max_epochs or 0) * (trainer.state.epoch_length or 0))
        bar.update(trainer.state.iteration)  # done before a resume

    @trainer.on(Events.ITERATION_COMPLETED)
    def advance() -> None:
        bar.update()

    @trainer.on(Events.EPOCH_COMPLETED)
    def show() -> None:
        nonlocal score
        epoch, epochs = trainer.state.epoch, trainer.state.max_epochs
        if name in evaluator.state.metrics:
            score = f", val/{name} {evaluator.state.metrics[name]:.5g}"
        bar.set_postfix_str(f"epoch {epoch}/{epochs}{score}")
        if bar.disable:
            print(f"{title}: epoch {epoch}/{epochs}{score}", flush=True)

    with bar:
        yield


def mid_epoch(trainer: Engine) -> bool:
    """Whether more steps of this epoch follow, so that nothing of its end is due."""
    steps = trainer.state.epoch_length
    assert steps
    return trainer.state.iteration % steps != 0 and not trainer.should_terminate_single_epoch


def over(trainer: Engine) -> bool:
    """Whether this epoch is the last."""
    return bool(trainer.should_terminate) or trainer.state.epoch == trainer.state.max_epochs
