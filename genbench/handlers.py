"""Side effects of a training, each attached to the bare engines by one function."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import optuna
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver, EarlyStopping
from optuna_integration import PyTorchIgnitePruningHandler
from torch import Tensor
from tqdm import tqdm

from genbench import UserError
from genbench.config import Config
from genbench.data import Batches, Split
from genbench.engines import Means
from genbench.models import Recipe, State
from genbench.run import Run

EVAL_BATCH = 500


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


def attach_validation(
    trainer: Engine, evaluator: Engine, split: Split, run: Run, state: State
) -> None:
    """Evaluate and log a held-out split, as `val`, after every epoch."""
    batches = Batches(split, EVAL_BATCH)

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
    """Keep best.pt (by the validation objective) and last.pt, each written whole or not at all."""
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
    evaluator.add_event_handler(Events.COMPLETED, best)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, last)


def attach_early_stopping(
    trainer: Engine, evaluator: Engine, objective: tuple[str, str], patience: int
) -> None:
    """Stop after `patience` epochs without a better validation objective; 0 never stops."""
    if not patience:
        return
    name, direction = objective
    sign = 1 if direction == "maximize" else -1
    stopper = EarlyStopping(patience, lambda engine: sign * engine.state.metrics[name], trainer)
    evaluator.add_event_handler(Events.COMPLETED, stopper)


def attach_pictures(
    trainer: Engine, recipe: Recipe, state: State, config: Config, split: Split, run: Run
) -> None:
    """After every epoch: the split's first 32 images, each with its x_hat, and 64 samples.

    The samples are of one fixed z, so that the epochs can be compared.
    """
    x = next(iter(Batches(split, 32)))[0]

    @trainer.on(Events.EPOCH_COMPLETED)
    @torch.inference_mode()
    def draw() -> None:
        state.modules.eval()
        x_hat = torch.sigmoid(recipe.decode(state, recipe.encode(state, x)))
        pairs = torch.stack([x, x_hat], dim=1).flatten(0, 1)  # x0, x_hat0, x1, x_hat1, ...
        epoch = trainer.state.epoch
        run.picture("reconstructions", to_grid(pairs, columns=8), state.step, epoch)
        if recipe.sample:
            generator = torch.Generator(state.device).manual_seed(config.seed)
            samples = recipe.sample(state, config, 64, generator)
            run.picture("samples", to_grid(samples, columns=8), state.step, epoch)


def to_uint8(x: Tensor) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] as `uint8` (N, H, W) if grey, else (N, H, W, 3)."""
    pixels = (x * 255).round().clamp(0, 255).to("cpu", torch.uint8).numpy()
    return pixels[:, 0] if pixels.shape[1] == 1 else pixels.transpose(0, 2, 3, 1)


def to_grid(x: Tensor, columns: int) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1], row by row with white between them, as one `uint8` picture."""
    images = to_uint8(x)
    edges = [(0, -len(images) % columns), (1, 1), (1, 1)] + [(0, 0)] * (images.ndim - 3)
    tiles = np.pad(images, edges, constant_values=255)
    rows = tiles.reshape(-1, columns, *tiles.shape[1:]).swapaxes(1, 2)
    height, width = tiles.shape[1:3]
    return rows.reshape(len(rows) * height, columns * width, *tiles.shape[3:])


@contextmanager
def progress_bar(trainer: Engine, evaluator: Engine, name: str, title: str) -> Iterator[None]:
    """A bar over all steps with the validation scalar `name`; a line an epoch off a terminal."""
    bar: tqdm = tqdm(desc=title, unit="step", leave=False, disable=None, mininterval=0.2)

    @trainer.on(Events.STARTED)
    def start() -> None:
        bar.reset(total=(trainer.state.max_epochs or 0) * (trainer.state.epoch_length or 0))

    @trainer.on(Events.ITERATION_COMPLETED)
    def advance() -> None:
        bar.update()

    @trainer.on(Events.EPOCH_COMPLETED)
    def show() -> None:
        epoch, epochs = trainer.state.epoch, trainer.state.max_epochs
        score = f"val/{name} {evaluator.state.metrics[name]:.2f}"
        bar.set_postfix_str(f"epoch {epoch}/{epochs}, {score}")
        if bar.disable:
            print(f"{title}: epoch {epoch}/{epochs}, {score}", flush=True)

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


def attach_pruning(
    trainer: Engine, evaluator: Engine, run: Run, trial: "optuna.Trial", name: str
) -> None:
    """Report the validation scalar `name` to Optuna every epoch, and stop where it says so."""
    handler = PyTorchIgnitePruningHandler(trial, name, trainer)

    @evaluator.on(Events.COMPLETED)
    def prune() -> None:
        if name not in evaluator.state.metrics:
            known = ", ".join(f"val/{known}" for known in evaluator.state.metrics)
            raise UserError(f"metric: val/{name} is never logged; choose one of {known}")
        if trainer.state.epoch == trainer.state.max_epochs:
            trial.report(evaluator.state.metrics[name], trainer.state.epoch)
            return  # nothing left to save: a run that is done is a finished one
        try:
            handler(evaluator)
        except optuna.TrialPruned:
            run.status = "pruned"
            raise
