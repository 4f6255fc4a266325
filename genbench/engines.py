"""Bare Ignite engines: a step returns a dict of scalars, everything else is attached elsewhere."""

import logging
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from genbench.data import Batches
from genbench.evaluate import EVAL_BATCH, EVAL_MOST, EVAL_SEED
from genbench.losses import Scalars
from genbench.model import Model


class Means:
    """Means of scalars weighted by batch size, summed on the device: reading them syncs once.

    A step may leave scalars out; a mean is then over the steps that had it.
    """

    def __init__(self) -> None:
        self.sums: dict[tuple[str, ...], tuple[Tensor, int]] = {}  # by the names of a step

    def add(self, scalars: Scalars, n: int) -> None:
        """Count the scalars of a batch of n images."""
        values = torch.stack([value.float() for value in scalars.values()]) * n
        values = values if values.device.type == "mps" else values.double()
        total, count = self.sums.get(tuple(scalars), (0, 0))
        self.sums[tuple(scalars)] = values + total, count + n

    def take(self) -> dict[str, float]:
        """The means since the last call, and start anew."""
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        for names, (values, count) in self.sums.items():
            for name, value in zip(names, values.tolist(), strict=True):
                totals[name] = totals.get(name, 0.0) + value
                counts[name] = counts.get(name, 0) + count
        self.sums = {}
        return {name: total / counts[name] for name, total in totals.items()}

    def state_dict(self) -> dict[str, Any]:
        """What was counted since the last `take`."""
        return {"sums": self.sums}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Count on from there."""
        self.sums = saved["sums"]


def make_trainer(model: Model) -> Engine:
    """An engine whose step updates the model on a batch and returns the training scalars."""

    def step(engine: Engine, batch: tuple[Tensor, Tensor]) -> Scalars:
        x, y = batch
        return model.steps.train_step(model.state, x, *model.given(y))

    trainer = Engine(step)
    trainer.logger.setLevel(logging.CRITICAL)  # what ends a training is said by who catches it

    @trainer.on(Events.EPOCH_STARTED)
    def training_mode() -> None:
        model.state.modules.train()

    return trainer


def make_evaluator(model: Model) -> Engine:
    """An engine that leaves the means of the evaluation scalars in `engine.state.metrics`."""
    rng = torch.Generator(model.device)
    means = Means()

    @torch.inference_mode()
    def step(engine: Engine, batch: tuple[Tensor, Tensor]) -> Scalars:
        x, y = batch
        scalars = model.steps.eval_step(model.state, x, rng, *model.given(y))
        means.add(scalars, len(x))
        return scalars

    evaluator = Engine(step)
    evaluator.logger.setLevel(logging.CRITICAL)

    @evaluator.on(Events.STARTED)
    def start() -> None:
        model.state.modules.eval()
        means.take()
        rng.manual_seed(EVAL_SEED)

    @evaluator.on(Events.EPOCH_COMPLETED)
    def finish() -> None:
        evaluator.state.metrics.update(means.take())

    return evaluator


def eval_batches(model: Model, split: str) -> Batches:
    """What evaluation scalars are the means over: a split, or of it 2,000 images, evenly spaced.

    These where samples are all there is to judge: the networks of GANs and flows take seconds for
    a thousand images, and their losses tell less than the scores of samples do.
    """
    whole = model.data.splits[split]
    part = whole.take(whole.spread(EVAL_MOST)) if model.family.judged_by_samples else whole
    return Batches(part, EVAL_BATCH)


def split_scores(evaluator: Engine, model: Model, split: str) -> dict[str, float]:
    """The evaluation scalars of a split, as `split/name`."""
    evaluator.run(eval_batches(model, split))
    return {f"{split}/{name}": value for name, value in evaluator.state.metrics.items()}
