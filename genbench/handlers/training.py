"""What every training has beside its steps: logs, validation, checkpoints, limits, progress."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver, EarlyStopping
from optuna_integration import PyTorchIgnitePruningHandler
from tqdm import tqdm

from genbench import UserError
from genbench.data import Batches
from genbench.engines import Means
from genbench.evaluate import EVAL_BATCH
from genbench.evaluate.distances import late
from genbench.families.state import State
from genbench.model import Model
from genbench.record import Run


class Diverged(RuntimeError):
    """A training scalar is no longer finite."""


def attach_training_log(trainer: Engine, run: Run, state: State, every: int) -> None:
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
        scalars = means.take()
        if not scalars:
            return
        trainer.state.metrics.update(scalars)
        run.log("train", scalars, state.step, state.epoch)
        check_finite("train", scalars, state.step)


def check_finite(split: str, scalars: dict[str, float], step: int) -> None:
    """Raise `Diverged` for the first scalar that is not finite."""
    for name, value in scalars.items():
        if not math.isfinite(value):
            raise Diverged(f"{split}/{name} is {value} at step {step}; try a smaller --lr")


def attach_validation(trainer: Engine, evaluator: Engine, model: Model, run: Run) -> None:
    """Evaluate and log the validation split after every epoch."""
    batches, state = Batches(model.data.splits["val"], EVAL_BATCH), model.state

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate() -> None:
        evaluator.run(batches)

    @evaluator.on(Events.COMPLETED)  # before what is attached later may end the run
    def log() -> None:
        run.log("val", evaluator.state.metrics, state.step, state.epoch)
        check_finite("val", evaluator.state.metrics, state.step)


def attach_checkpoints(
    trainer: Engine, evaluator: Engine, state: State, objective: tuple[str, str], folder: Path
) -> None:
    """Keep best.pt (by the validation objective) and last.pt, each written whole or not at all.

    An epoch without the objective cannot be the best.
    """
    name, direction = objective
    sign = 1 if direction == "maximize" else -1
    saver = DiskSaver(folder, atomic=True, require_empty=False)
    best = Checkpoint(
        {"state": state},
        saver,
        filename_pattern="best.pt",
        score_function=lambda engine: sign * engine.state.metrics[name],
        score_name=name,
        global_step_transform=lambda *_: trainer.state.epoch,
    )
    last = Checkpoint({"state": state}, saver, filename_pattern="last.pt")

    @evaluator.on(Events.COMPLETED)
    def keep_best() -> None:
        if name in evaluator.state.metrics:
            best(evaluator)

    trainer.add_event_handler(Events.EPOCH_COMPLETED, last)


def attach_time_limit(trainer: Engine, minutes: float) -> Callable[[], float]:
    """End the training once its steps have taken so many minutes; 0 never ends it.

    What happens between epochs (validation, samples, scores) does not count: two models with the
    same limit have had the same time to learn. The epoch that is cut short is completed as any.

    Returns:
        A function that says, within an epoch, which share of the minutes is used up; 0: no limit.
    """
    if not minutes:
        return lambda: 0.0
    start = pause = time.monotonic()  # `start` moves on with every pause

    def used() -> float:
        return (time.monotonic() - start) / (60 * minutes)

    @trainer.on(Events.EPOCH_STARTED)
    def begin() -> None:
        nonlocal start
        start += time.monotonic() - pause

    @trainer.on(Events.ITERATION_COMPLETED)
    def watch() -> None:
        if used() >= 1:
            trainer.terminate_epoch()

    @trainer.on(Events.EPOCH_COMPLETED)
    def end() -> None:
        nonlocal pause
        pause = time.monotonic()
        if used() >= 1:
            trainer.terminate()

    return used


def attach_lr_decay(trainer: Engine, state: State, share: float, used: Callable[[], float]) -> None:
    """Lower all learning rates linearly to 0 over the last `share` of the training; 0 never does.

    Args:
        trainer: Its epochs, or its time if that is shorter, are the length of the training.
        state: Its optimisers are at their full learning rates.
        share: In [0, 1].
        used: Share of the time that is used up (`attach_time_limit`).
    """
    if not share:
        return
    groups = [group for each in state.optimizers.values() for group in each.param_groups]
    full = [group["lr"] for group in groups]

    @trainer.on(Events.ITERATION_STARTED)
    def lower() -> None:
        epochs, length = trainer.state.max_epochs, trainer.state.epoch_length
        assert epochs
        assert length
        done = (trainer.state.iteration - 1) / (epochs * length)
        left = 1 - min(1.0, max(done, used()))
        for group, lr in zip(groups, full, strict=True):
            group["lr"] = lr * min(1.0, left / share)


def attach_early_stopping(
    trainer: Engine, evaluator: Engine, objective: tuple[str, str], patience: int
) -> None:
    """Stop after `patience` scored epochs without a better validation objective; 0 never stops."""
    if not patience:
        return
    name, direction = objective
    sign = 1 if direction == "maximize" else -1
    stopper = EarlyStopping(patience, lambda engine: sign * engine.state.metrics[name], trainer)

    @evaluator.on(Events.COMPLETED)
    def compare() -> None:
        if name in evaluator.state.metrics:
            stopper(evaluator)


@contextmanager
def progress_bar(trainer: Engine, evaluator: Engine, name: str, title: str) -> Iterator[None]:
    """A bar over all steps with the validation scalar `name`; a line an epoch off a terminal."""
    bar: tqdm = tqdm(desc=title, unit="step", leave=False, disable=None, mininterval=0.2)
    score = ""

    @trainer.on(Events.STARTED)
    def start() -> None:
        bar.reset(total=(trainer.state.max_epochs or 0) * (trainer.state.epoch_length or 0))

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


@contextmanager
def signals_between_steps(trainer: Engine) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the step.

    In the middle of a file being written they would tear it, and the writer may turn the
    KeyboardInterrupt into an error of its own, which a search takes for a failed trial.
    """
    waiting: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():  # others may not set handlers
        for caught in (signal.SIGINT, signal.SIGTERM):
            before[int(caught)] = signal.signal(caught, lambda n, _: waiting.append(n))

    def deliver() -> None:
        if waiting:
            number = waiting.pop()
            signal.signal(number, before[number])
            signal.raise_signal(number)

    trainer.add_event_handler(Events.ITERATION_COMPLETED, deliver)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        deliver()


def over(trainer: Engine) -> bool:
    """Whether this epoch is the last."""
    return bool(trainer.should_terminate) or trainer.state.epoch == trainer.state.max_epochs


def attach_pruning(
    trainer: Engine, evaluator: Engine, run: Run, trial: "optuna.Trial", name: str
) -> None:
    """Report the validation scalar `name` to Optuna every epoch, and stop where it says so."""
    handler = PyTorchIgnitePruningHandler(trial, name, trainer)

    @evaluator.on(Events.COMPLETED)
    def prune() -> None:
        if late(name) and name not in evaluator.state.metrics and not over(trainer):
            return
        if name not in evaluator.state.metrics:
            known = ", ".join(f"val/{known}" for known in evaluator.state.metrics)
            raise UserError(f"metric: val/{name} is never logged; choose one of {known}")
        if over(trainer):
            trial.report(evaluator.state.metrics[name], trainer.state.epoch)
            return  # nothing left to save: a run that is done is a finished one
        try:
            handler(evaluator)
        except optuna.TrialPruned:
            run.status = "pruned"
            raise
