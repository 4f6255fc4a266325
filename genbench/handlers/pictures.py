"""Pictures of every epoch."""

import torch
from ignite.engine import Engine, Events

from genbench.data import Batches
from genbench.images import to_grid
from genbench.model import Model
from genbench.record import Run

RECONSTRUCTED, DRAWN = 32, 64  # images in the two grids


def attach_pictures(trainer: Engine, model: Model, run: Run) -> None:
    """After every epoch: the first validation images, each with its x_hat, and samples.

    Each where the family has it. The samples are of one fixed z: the epochs can be compared. Of a
    model of classes a row is of one class.
    """
    x, of_x = (part.cpu() for part in next(iter(Batches(model.data.splits["val"], RECONSTRUCTED))))
    y = model.classes.rows()
    z = model.draw_z(DRAWN if y is None else len(y), model.config.seed)

    @trainer.on(Events.EPOCH_COMPLETED)
    def draw() -> None:
        epoch, step, can = trainer.state.epoch, model.state.step, model.family.can
        if {"encode", "decode"} <= can:
            pairs = torch.stack([x, model.reconstruct(x, of_x)], dim=1).flatten(
                0, 1
            )  # x0, x_hat0, x1...
            run.picture("reconstructions", to_grid(pairs, columns=8), step, epoch)
        if "generate" in can:
            run.picture("samples", to_grid(model.generate(z, y), columns=8), step, epoch)
