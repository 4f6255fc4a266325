"""Whether samples are copies of training pictures, from features and thumbnails.

SciPy is imported where it is used: it takes half a second.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genbench.metrics.stability import squared_distances

NEAR = 0.01  # the share of held-out pictures that lie nearer to a training picture than `threshold`
LEVEL = 0.001  # of the test: a smaller p-value is an alarm
POWER = 0.8  # the chance of an alarm with which copies count as visible to the test
SURE = f"{100 * POWER:.0f} % of cases"
CHUNK = 500
SCALED = 1_000  # training pictures that say which distance is usual in a space
Spaces = Sequence[np.ndarray]  # the same pictures (N, D) in each: by features, as thumbnails


@dataclass(frozen=True)
class Memorization:
    """Samples held against the training pictures, as held-out pictures are.

    copies: share of samples that are nearer to a training picture than all but 1 % of held-out
    pictures are. expected: the share of held-out pictures that are so near. p: of a one-sided
    test that samples are no nearer than held-out pictures. visible: the least share of copies that
    it sees (`visible_share`). nearest (N,): each sample's nearest training picture, distances (N,):
    how far it is (`nearest_rows`). originals: of how many training pictures the copies are: of very
    few where the samples have collapsed.
    """

    copies: float
    expected: float
    p: float
    visible: float
    nearest: np.ndarray
    distances: np.ndarray
    originals: int

    @property
    def alarm(self) -> bool:
        """Whether more samples are copies than chance gives."""
        return self.p < LEVEL


def memorization(samples: Spaces, held_out: Spaces, train: Spaces) -> Memorization:
    """Look for copies of training pictures among samples.

    A copy is near to one training picture in every space: noise may have the features of a picture
    that it does not look like, and flat pictures the thumbnail of another.

    A data-copying test in the sense of Meehan et al. 2020 (arXiv:2004.05675) that looks at the
    nearest pictures alone: were samples and held-out pictures of one distribution, the number of
    samples below the held-out pictures' k-th smallest distance would be negative hypergeometric.
    Samples that are simpler than pictures are not taken for copies, as by a test of all distances.

    Args:
        samples: (N, D) in each space.
        held_out: (M, D), of pictures that were not trained on; at least 2.
        train: (T, D), of those that were.
    """
    n, m = len(samples[0]), len(held_out[0])
    both = [np.concatenate(spaces) for spaces in zip(samples, held_out, strict=True)]
    nearest, distances = nearest_rows(both, train)
    nearest, distances, of_held_out = nearest[:n], distances[:n], distances[n:]
    k = max(1, round(NEAR * m))
    threshold = np.sort(of_held_out)[k - 1]
    copies = nearest[distances <= threshold]
    near, originals = len(copies), len(np.unique(copies))
    p = float(chance_of(near, n, m, k))
    return Memorization(near / n, k / m, p, visible_share(n, m, k), nearest, distances, originals)


def chance_of(near: np.ndarray | int, n: np.ndarray | int, m: int, k: int) -> np.ndarray:
    """P(at least `near` of n samples come before the k-th of m held-out pictures), all alike.

    They do if of the near + k - 1 smallest distances at most k - 1 are of held-out pictures.
    """
    from scipy.stats import hypergeom

    return np.asarray(hypergeom.cdf(k - 1, n + m, m, near + k - 1))


def visible_share(n: int, m: int, k: int) -> float:
    """The least share of copies among n samples that raises an alarm in 80 % of cases.

    Copies are nearer than the k-th of m held-out pictures, the other samples as held-out pictures
    are. Fewer copies go unseen more often: that there was no alarm says nothing of them. NaN where
    even n copies raise none.
    """
    counts = np.arange(n + 1)
    alarming = np.flatnonzero(chance_of(counts, n, m, k) < LEVEL)
    if not len(alarming):
        return math.nan
    copies = counts[: alarming[0] + 1]
    power = chance_of(alarming[0] - copies, n - copies, m, k)
    return float(np.argmax(power >= POWER) / n)


def nearest_rows(a: Spaces, b: Spaces) -> tuple[np.ndarray, np.ndarray]:
    """For each of N rows the index (N,) of the nearest of M others, and its distance (N,).

    The distance of two is that of the space in which they are farthest apart, in units of the
    space (`scale`).

    Args:
        a: (N, D) in each space.
        b: (M, D) in each.
    """
    a, b = ([space.astype(np.float64) for space in spaces] for spaces in (a, b))
    scales = [scale(space) for space in b]
    nearest, distances = [], []
    for i in range(0, len(a[0]), CHUNK):
        parts = [
            squared_distances(x[i : i + CHUNK], y) / unit**2
            for x, y, unit in zip(a, b, scales, strict=True)
        ]
        farthest = np.maximum.reduce(parts)
        nearest.append(farthest.argmin(1))
        distances.append(np.sqrt(farthest.min(1)))
    return np.concatenate(nearest), np.concatenate(distances)


def scale(rows: np.ndarray) -> float:
    """The median distance (> 0) of a row (N, D) to the nearest other one, over 1,000 of them."""
    if len(rows) < 2:
        return 1.0
    rows = np.asarray(rows, np.float64)
    some = rows[:: -(-len(rows) // SCALED)]
    squares = [
        np.partition(squared_distances(some[i : i + CHUNK], rows), 1, axis=1)[:, 1]
        for i in range(0, len(some), CHUNK)
    ]
    return float(np.median(np.sqrt(np.concatenate(squares)))) or 1.0
