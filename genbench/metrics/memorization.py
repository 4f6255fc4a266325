"""Whether samples are copies of training pictures, from features."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

from genbench.metrics.stability import squared_distances

NEAR = 0.01  # the share of held-out pictures that lie nearer to a training picture than `threshold`
LEVEL = 0.001  # of the test: a smaller p-value is an alarm
CHUNK = 500


@dataclass(frozen=True)
class Memorization:
    """Samples held against the training pictures, as held-out pictures are.

    copies: share of samples that are nearer to a training picture than all but 1 % of held-out
    pictures are. expected: the share of held-out pictures that are so near. p: of a one-sided
    test that samples are no nearer than held-out pictures. nearest (N,): each sample's nearest
    training picture, distances (N,): how far it is.
    """

    copies: float
    expected: float
    p: float
    nearest: np.ndarray
    distances: np.ndarray

    @property
    def alarm(self) -> bool:
        """Whether more samples are copies than chance gives."""
        return self.p < LEVEL


def memorization(samples: np.ndarray, held_out: np.ndarray, train: np.ndarray) -> Memorization:
    """Look for copies of training pictures among samples.

    A data-copying test in the sense of Meehan et al. 2020 (arXiv:2004.05675) that looks at the
    nearest pictures alone: were samples and held-out pictures of one distribution, the number of
    samples below the held-out pictures' k-th smallest distance would be negative hypergeometric.
    Samples that are simpler than pictures are not taken for copies, as by a test of all distances.

    Args:
        samples: (N, D) features.
        held_out: (M, D), of pictures that were not trained on; at least 2.
        train: (T, D), of those that were.
    """
    nearest, distances = nearest_rows(samples, train)
    _, of_held_out = nearest_rows(held_out, train)
    n, m = len(distances), len(of_held_out)
    k = max(1, round(NEAR * m))
    threshold = np.sort(of_held_out)[k - 1]
    near = int((distances <= threshold).sum())
    # at least `near` samples come before the k-th held-out picture if of the near + k - 1 smallest
    # distances at most k - 1 are of held-out pictures
    p = float(hypergeom.cdf(k - 1, n + m, m, near + k - 1))
    return Memorization(near / n, k / m, p, nearest, distances)


def nearest_rows(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row of a (N, D) the index (N,) of the nearest row of b (M, D), and its distance."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    parts = [squared_distances(a[i : i + CHUNK], b) for i in range(0, len(a), CHUNK)]
    nearest = np.concatenate([part.argmin(1) for part in parts])
    return nearest, np.sqrt(np.concatenate([part.min(1) for part in parts]))
