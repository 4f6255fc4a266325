"""Pictures from a trained model of any family, as `uint8`, by sampling seed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from genbench.config import Config
from genbench.data import Data
from genbench.evaluate.codes import encode_all
from genbench.handlers import render, to_bytes
from genbench.handlers.pictures import DRAW_BATCH
from genbench.models import Recipe, State, draw_z

COMPONENTS = 10  # of the mixture
FITTED = 10_000  # at most so many training codes

Draw = Callable[[int, int], np.ndarray]  # n, seed -> pictures (n, C, S, S) uint8


@dataclass(frozen=True)
class Sampler:
    """A model that can be drawn from, and what it is called."""

    title: str  # the family, and for want of a prior the density fitted to its codes
    draw: Draw


def make_sampler(recipe: Recipe, state: State, config: Config, data: Data, prior: str) -> Sampler:
    """How to draw from a model: by its own prior, else by one fitted to its training codes.

    An autoencoder has no prior; `prior` is fitted to it afterwards (Ghosh et al. 2020,
    arXiv:1903.12436, section 4): a Gaussian, or a mixture of ten, both with full covariances.
    """
    if recipe.generate:
        return Sampler(
            config.model, lambda n, seed: render(recipe, state, draw_z(state, config, n, seed))
        )
    decoder = recipe.decode
    assert decoder
    from sklearn.mixture import GaussianMixture

    codes, _ = encode_all(recipe, state, data.splits["train"].take(slice(FITTED)))
    count = COMPONENTS if prior == "mixture" else 1
    density = GaussianMixture(count, random_state=0).fit(codes.astype(np.float64))

    @torch.inference_mode()
    def draw(n: int, seed: int) -> np.ndarray:
        density.random_state = np.random.RandomState(seed)
        z = density.sample(n)[0]
        z = z[np.random.RandomState(seed).permutation(n)]  # it comes component by component
        batches = torch.from_numpy(z.astype(np.float32)).to(state.device).split(DRAW_BATCH)
        return np.concatenate([to_bytes(torch.sigmoid(decoder(state, part))) for part in batches])

    return Sampler(f"{config.model}+{prior}", draw)
