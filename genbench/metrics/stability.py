"""How steadily a GAN trained, as numbers: from samples as pixels, and from the curves of a run."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from genbench.metrics.names import ScoreName

THUMB = 16  # pixels along a side of the thumbnails that diversity is measured on
BINS = 8  # of each colour channel
SATURATED = 0.95  # d_real - d_fake above it: the discriminator's gradient has all but vanished
COLLAPSED_SPREAD = 0.25  # of the reals' mean distance between two pictures
COLLAPSED_NEAREST = 0.1  # of the reals' median distance to the nearest other picture
INFANCY = 3  # epochs in which samples may look alike: the generator has learned little yet
STUCK = 3  # epochs or scores in a row after which something bad will not pass
WORSE = 1.5  # times its best: a KID that has risen by more than chance
CHANCE = 0.005  # a KID below it may be that of real pictures: it is unbiased, and may be below 0


def diversity(fakes: np.ndarray, reals: np.ndarray) -> dict[str, float]:
    """How much samples differ from each other, in units of the reals; 1 is the reals' own.

    Distances are Euclidean, between thumbnails of 16 x 16 pixels. `spread`: the mean distance of
    two pictures; it falls to 0 when all samples are one. `nearest`: the median distance to the
    nearest other picture; it falls to 0 when the samples are copies of several. One picture alone
    has nothing to differ from and counts as 1.

    Args:
        fakes: (N, C, S, S) `uint8`.
        reals: (N, C, S, S) `uint8`, as many.
    """
    if min(len(fakes), len(reals)) < 2:
        return {"spread": 1.0, "nearest": 1.0}
    of_fakes, of_reals = _distances(fakes), _distances(reals)
    return {
        "spread": _ratio(_mean_pair(of_fakes), _mean_pair(of_reals)),
        "nearest": _ratio(float(np.median(of_fakes.min(1))), float(np.median(of_reals.min(1)))),
    }


def collapsed(spread: float, nearest: float) -> bool:
    """Whether samples so alike (`diversity`) are a collapse."""
    return spread < COLLAPSED_SPREAD or nearest < COLLAPSED_NEAREST


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Pictures (N, C, S, S) `uint8` averaged down to (N, C * 16 * 16) `float32` in [0, 1]."""
    n, channels, side, _ = images.shape
    step = max(1, side // THUMB)
    cells = images.reshape(n, channels, side // step, step, side // step, step)
    return (cells.mean((3, 5), dtype=np.float32) / 255).reshape(n, -1)


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (N, M) of rows of a (N, D) and b (M, D)."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.maximum(squares, 0)


def _distances(images: np.ndarray) -> np.ndarray:
    """(N, N), infinite on the diagonal."""
    thumbs = thumbnails(images)
    distances = np.sqrt(squared_distances(thumbs, thumbs))
    np.fill_diagonal(distances, np.inf)
    return distances


def _mean_pair(distances: np.ndarray) -> float:
    return float(distances[np.isfinite(distances)].mean())


def _ratio(a: float, b: float) -> float:
    return a / b if b > 0 else 1.0


def histogram_kl(reals: np.ndarray, fakes: np.ndarray) -> float:
    """KL(reals || fakes) of their colour histograms, in nats a pixel.

    The joint histogram of all channels, 8 bins each, over all pixels; one pixel is added to every
    bin (Laplace smoothing). It sees which colours there are, and nothing of where.

    Args:
        reals: (N, C, S, S) `uint8`.
        fakes: (M, C, S, S) `uint8`.
    """
    p, q = (_histogram(images) for images in (reals, fakes))
    return float((p * np.log(p / q)).sum())


def _histogram(images: np.ndarray) -> np.ndarray:
    channels = images.shape[1]
    index = np.zeros(images[:, 0].shape, np.int64)
    for channel in range(channels):
        index = index * BINS + images[:, channel] // (256 // BINS)
    counts = np.bincount(index.ravel(), minlength=BINS**channels) + 1.0
    return counts / counts.sum()


def oscillation(values: Sequence[float]) -> float:
    """Standard deviation of a curve around its own straight line; 0 of fewer than 3 points."""
    if len(values) < 3:
        return 0.0
    y = np.asarray(values, dtype=float)
    t = np.linspace(-1, 1, len(y))
    slope = (t * (y - y.mean())).sum() / (t**2).sum()
    return float((y - y.mean() - slope * t).std())


def longest_stretch(epochs: Sequence[float], flags: Sequence[bool]) -> float:
    """The longest time without a break for which the flags held, in epochs.

    Args:
        epochs: When each flag was read; it speaks of the time since the one before it.
        flags: Whether it held.
    """
    longest = current = before = 0.0
    for epoch, flag in zip(epochs, flags, strict=True):
        current = current + epoch - before if flag else 0.0
        longest, before = max(longest, current), epoch
    return longest


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A run's stability from the rows of its record (`Record.metrics`).

    oscillation_d, oscillation_g: of the logged training losses. saturated: longest stretch with
    d_real - d_fake above 0.95, in epochs. spread, nearest: the last epoch's (see `diversity`);
    collapsed: whether they are a collapse. diverged: whether a logged scalar was not finite.
    """
    train = [row for row in rows if row["split"] == "train" and "d_real" in row]
    health = [row for row in rows if "spread" in row and "nearest" in row]
    scalars = [v for row in rows for k, v in row.items() if k != "split"]
    gaps = [row["d_real"] - row["d_fake"] > SATURATED for row in train]
    result: dict[str, Any] = {
        "oscillation_d": oscillation([row["loss_d"] for row in train]),
        "oscillation_g": oscillation([row["loss_g"] for row in train if "loss_g" in row]),
        "saturated_epochs": longest_stretch([row["epoch"] for row in train], gaps),
        "diverged": not all(math.isfinite(value) for value in scalars),
    }
    if health:
        last = {name: health[-1][name] for name in ("spread", "nearest")}
        result |= last | {"collapsed": collapsed(**last)}
    return result


def hopeless(rows: list[dict[str, Any]]) -> str:
    """Why a GAN's training is not worth going on with; empty: it may be.

    Losses say little of a GAN. What counts is seen at the last 3 validations: samples collapsed at
    each; a discriminator saturated throughout while KID did not improve; KID risen at each, to 1.5
    times its best.

    Args:
        rows: Of the run's record so far (`Record.metrics`).
    """
    val = [row for row in rows if row["split"] == "val" and row["epoch"] > INFANCY]
    health = [row for row in val if "spread" in row][-STUCK:]
    if len(health) == STUCK and all(collapsed(r["spread"], r["nearest"]) for r in health):
        return f"the samples have been collapsed for {STUCK} epochs"
    scored = [row for row in rows if row["split"] == "val"]
    kid = [v for row in scored for k, v in row.items() if ScoreName.parse(k).metric == "kid"]
    steps = list(itertools.pairwise(kid))[-STUCK:]
    rising = len(steps) == STUCK and all(after > before for before, after in steps)
    if rising and kid[-1] > WORSE * max(min(kid), CHANCE):
        return f"KID has risen {STUCK} times in a row"
    train = [row for row in rows if row["split"] == "train" and "d_real" in row]
    recent = [row for row in train if row["epoch"] > train[-1]["epoch"] - STUCK]
    saturated = all(row["d_real"] - row["d_fake"] > SATURATED for row in recent)
    no_better = len(kid) > STUCK and min(kid[-STUCK:]) >= min(kid[:-STUCK])
    if train and train[-1]["epoch"] > INFANCY + STUCK and saturated and no_better:
        return f"the discriminator has been saturated for {STUCK} epochs and KID is no better"
    return ""
