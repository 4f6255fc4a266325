"""Codes to draw from: a density fitted to some, draws cut off, and ways between two."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench import UserError

COMPONENTS = 10  # of the mixture
OPPOSITE = -0.99  # a cosine: on which circle two such codes lie is chance, and most leave the prior


@dataclass(frozen=True)
class Prior:
    """A mixture of Gaussians over codes."""

    density: Any  # scikit-learn's

    def sample(self, n: int, seed: int) -> np.ndarray:
        """n codes (n, D) `float32`."""
        self.density.random_state = np.random.RandomState(seed)
        z = self.density.sample(n)[0]  # it comes component by component
        return z[np.random.RandomState(seed).permutation(n)].astype(np.float32)


def check_draw(n: int, seed: int, truncation: float) -> None:
    """Raise `UserError` where n samples of a seed and a truncation cannot be."""
    if n < 1 or truncation < 0 or not 0 <= seed < 2**32:
        raise UserError(
            f"n={n}, seed={seed}, truncation={truncation}: at least 1, 0 and 0, "
            "and the seed below 2^32"
        )


def fit_prior(codes: np.ndarray, kind: str) -> Prior:
    """A density of codes (N, D) with full covariances: `mixture` of ten Gaussians, or `gaussian`.

    scikit-learn is imported here: it takes as long to import as an epoch to train.
    """
    from sklearn.mixture import GaussianMixture

    count = min(COMPONENTS, len(codes)) if kind == "mixture" else 1
    return Prior(GaussianMixture(count, random_state=0).fit(codes.astype(np.float64)))


def truncated(z: Tensor, limit: float) -> Tensor:
    """Codes of N(0, 1) as codes of N(0, 1) cut off at +-limit, the order of values kept.

    The truncation trick (Brock et al. 2019, arXiv:1809.11096), without drawing again: through the
    distribution function of one normal and back through that of the other.
    """
    root = math.sqrt(2)
    return root * torch.erfinv(torch.erf(z / root) * math.erf(limit / root))


def great_circle(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """Codes (steps, *shape) from a to b, ends included, that stay as far out as the prior's.

    Spherical interpolation (White 2016, arXiv:1609.04468); a straight line passes through codes
    shorter than any that the generator has seen.
    """
    cosine = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0)
    angle = torch.arccos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
    t = torch.linspace(0, 1, steps, device=a.device).view(-1, *[1] * a.dim())
    if cosine < OPPOSITE:
        return torch.lerp(a, b, t)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def straight_lines(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Codes (N * steps, D) on straight lines from `start` to `end`, both (N, D), line by line."""
    t = torch.linspace(0, 1, steps)[:, None]
    return torch.cat([torch.lerp(a, b, t) for a, b in zip(start, end, strict=True)])
