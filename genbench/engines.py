"""Bare Ignite engines: a step returns a dict of scalars, everything else is attached elsewhere."""

import logging

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from genbench.config import Config
from genbench.losses import Scalars
from genbench.models import Recipe, State

EVAL_SEED = 0  # validation noise is the same at every epoch and in every run: a fair comparison


class Means:
    """Means of scalars weighted by batch size, summed on the device: reading them syncs once."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.total: Tensor | None = None
        self.count = 0

    def add(self, scalars: Scalars, n: int) -> None:
        """Count the scalars of a batch of n images."""
        values = torch.stack(list(scalars.values())) * n
        if self.total is None:
            self.names = list(scalars)
            self.total = values if values.device.type == "mps" else values.double()
        else:
            self.total += values
        self.count += n

    def take(self) -> dict[str, float]:
        """The means since the last call, and start anew."""
        if self.total is None:
            return {}
        means = dict(zip(self.names, (self.total / self.count).tolist(), strict=True))
        self.total, self.count = None, 0
        return means


def make_trainer(recipe: Recipe, state: State, config: Config) -> Engine:
    """An engine whose step updates `state` on a batch and returns the training scalars."""

    def step(engine: Engine, batch: tuple[Tensor, Tensor]) -> Scalars:
        return recipe.train_step(state, config, batch[0])

    trainer = Engine(step)
    trainer.logger.setLevel(logging.CRITICAL)  # what ends a training is said by who catches it

    @trainer.on(Events.EPOCH_STARTED)
    def training_mode() -> None:
        state.modules.train()

    return trainer


def make_evaluator(recipe: Recipe, state: State, config: Config) -> Engine:
    """An engine that leaves the means of the evaluation scalars in `engine.state.metrics`."""
    generator = torch.Generator(state.device)
    means = Means()

    @torch.inference_mode()
    def step(engine: Engine, batch: tuple[Tensor, Tensor]) -> Scalars:
        scalars = recipe.eval_step(state, config, batch[0], generator)
        means.add(scalars, len(batch[0]))
        return scalars

    evaluator = Engine(step)
    evaluator.logger.setLevel(logging.CRITICAL)

    @evaluator.on(Events.STARTED)
    def start() -> None:
        state.modules.eval()
        means.take()
        generator.manual_seed(EVAL_SEED)

    @evaluator.on(Events.EPOCH_COMPLETED)
    def finish() -> None:
        evaluator.state.metrics.update(means.take())

    return evaluator
