"""Pictures of every epoch, and pictures as `uint8`."""

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import Tensor

from genbench.config import Config
from genbench.data import Batches, Split
from genbench.images import tile
from genbench.models import Recipe, State, draw_z
from genbench.run import Run

DRAW_BATCH = 100
DIGITS_SIDE, FRAMED_SIDE = 28, 32  # pixels of digits as they are, and as GANs draw them


def attach_pictures(
    trainer: Engine, recipe: Recipe, state: State, config: Config, split: Split, run: Run
) -> None:
    """After every epoch: the split's first 32 images, each with its x_hat, and 64 samples.

    Each where the family has it. The samples are of one fixed z: the epochs can be compared.
    """
    x = next(iter(Batches(split, 32)))[0]
    z = draw_z(state, config, 64, config.seed)

    @trainer.on(Events.EPOCH_COMPLETED)
    @torch.inference_mode()
    def draw() -> None:
        state.modules.eval()
        epoch = trainer.state.epoch
        if recipe.encode and recipe.decode:
            x_hat = torch.sigmoid(recipe.decode(state, recipe.encode(state, x)))
            pairs = torch.stack([x, x_hat], dim=1).flatten(0, 1)  # x0, x_hat0, x1, x_hat1, ...
            run.picture("reconstructions", to_grid(pairs, columns=8), state.step, epoch)
        if recipe.generate:
            run.picture("samples", to_grid(recipe.generate(state, z), columns=8), state.step, epoch)


def to_bytes(x: Tensor) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] as `uint8`, on the CPU."""
    return (x * 255).round().clamp(0, 255).to("cpu", torch.uint8).numpy()


def as_pictures(images: np.ndarray) -> np.ndarray:
    """Images (..., C, H, W) as (..., H, W) if grey, else (..., H, W, 3)."""
    return images[..., 0, :, :] if images.shape[-3] == 1 else np.moveaxis(images, -3, -1)


def to_uint8(x: Tensor) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] as `uint8` (N, H, W) if grey, else (N, H, W, 3)."""
    return as_pictures(to_bytes(x))


def to_grid(x: Tensor, columns: int) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] as one `uint8` picture, see `tile`."""
    return tile(to_uint8(x), columns)


@torch.inference_mode()
def render(recipe: Recipe, state: State, z: Tensor) -> np.ndarray:
    """What a family that can be drawn from makes of codes z (N, D): (N, C, H, W) `uint8`."""
    assert recipe.generate
    state.modules.eval()
    return np.concatenate([to_bytes(recipe.generate(state, part)) for part in z.split(DRAW_BATCH)])


def framed(images: np.ndarray) -> np.ndarray:
    """Digits (N, C, 28, 28) with black around them up to 32 px; other pictures as they are.

    All families' digits are scored at the size at which GANs draw them.
    """
    if images.shape[-1] != DIGITS_SIDE:
        return images
    edges = ((FRAMED_SIDE - DIGITS_SIDE) // 2,) * 2
    return np.pad(images, [(0, 0), (0, 0), edges, edges])
