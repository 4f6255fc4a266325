"""Pictures of every epoch."""

import time

import torch
from ignite.engine import Engine, Events

from genbench import parallel
from genbench.data import Batches
from genbench.handlers.training import over
from genbench.images import to_grid
from genbench.model import Model
from genbench.record import Run

RECONSTRUCTED, DRAWN = 32, 64  # images in the two grids
ALL = 50  # epochs after each of which there are pictures, and half as many in each doubling
FIRST, SHARE = 5, 0.05  # epochs drawn whatever it costs; after them, the most of the time so far


def is_drawn(epoch: int, every: int) -> bool:
    """Whether there are pictures after an epoch: every so many; 0: ever more rarely.

    Then after each of the first 50, every second to 100, every fourth to 200, and so on: 25 in
    each doubling, so that a long training fills no disk. (The last epoch has some too: those of a
    run that was extended are still there.)
    """
    return epoch % (every or 2 ** ((epoch - 1) // ALL).bit_length()) == 0


def attach_pictures(trainer: Engine, model: Model, run: Run) -> None:
    """After epochs (`is_drawn`) and the last: the first validation images and x_hat, and samples.

    Each where the family has it. With pictures_every = 0, epochs that are short beside their
    pictures (few images; a flow's many evaluations) have fewer: drawing takes a twentieth. The
    samples are of one fixed z: the epochs can be compared. Of a model of classes a row is of one
    class.
    """
    x, of_x = (part.cpu() for part in next(iter(Batches(model.data.splits["val"], RECONSTRUCTED))))
    y = model.classes.rows()
    z = model.draw_z(DRAWN if y is None else len(y), model.config.seed)
    every, begun, drawing = model.config.pictures_every, time.monotonic(), 0.0  # seconds

    @trainer.on(Events.EPOCH_COMPLETED)
    def draw() -> None:
        nonlocal drawing
        epoch, step, can = trainer.state.epoch, model.state.step, model.family.can
        started = time.monotonic()
        share = parallel.most(drawing / max(started - begun, 1e-6))
        is_due = is_drawn(epoch, every) and (every or epoch <= FIRST or share < SHARE)
        if not (is_due or over(trainer)):
            return
        if {"encode", "decode"} <= can:
            pairs = torch.stack([x, model.reconstruct(x, of_x)], dim=1).flatten(
                0, 1
            )  # x0, x_hat0, x1...
            run.picture("reconstructions", to_grid(pairs, columns=8), step, epoch)
        if "generate" in can:
            run.picture("samples", to_grid(model.generate(z, y), columns=8), step, epoch)
        drawing += time.monotonic() - started
