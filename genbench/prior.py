"""A density fitted to codes, for families that have no prior of their own."""

from dataclasses import dataclass
from typing import Any

import numpy as np

COMPONENTS = 10  # of the mixture


@dataclass(frozen=True)
class Prior:
    """A mixture of Gaussians over codes."""

    density: Any  # scikit-learn's

    def sample(self, n: int, seed: int) -> np.ndarray:
        """n codes (n, D) `float32`."""
        self.density.random_state = np.random.RandomState(seed)
        z = self.density.sample(n)[0]  # it comes component by component
        return z[np.random.RandomState(seed).permutation(n)].astype(np.float32)


def fit_prior(codes: np.ndarray, kind: str) -> Prior:
    """A density of codes (N, D) with full covariances: `mixture` of ten Gaussians, or `gaussian`.

    scikit-learn is imported here: it takes as long to import as an epoch to train.
    """
    from sklearn.mixture import GaussianMixture

    count = min(COMPONENTS, len(codes)) if kind == "mixture" else 1
    return Prior(GaussianMixture(count, random_state=0).fit(codes.astype(np.float64)))
