"""How near generated pictures come to real ones, from features, by torch-fidelity.

All depend on the extractor and on N: compare them only where both are the same. PyTorch is imported
where it is used: the report and the sweep's checker read the table of metrics without it.
"""

import math
from collections.abc import Callable

import numpy as np

from genbench.metrics.features import Features

KID_SUBSETS = 100
KID_SUBSET = 1000
SEED = 0  # of subsets
SPLITS = 10  # of the Inception Score
AXES = 64  # at most, of `gaussian_kl`
SIZES = 8  # of the sets that `frechet_at_infinity` fits a line through
HALVES = 20  # of the sets of `half_sample_error`


def frechet_distance(features: np.ndarray, reference: np.ndarray) -> float:
    """Squared Frechet distance of Gaussians fitted to two sets (Heusel et al. 2017, eq. 6).

    Biased upwards at small N, more so the less the features correlate.

    Args:
        features: (N, D).
        reference: (M, D).
    """
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    sides = [fid_features_to_statistics(torch.from_numpy(f)) for f in (features, reference)]
    return fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"]


def kernel_distance(
    features: np.ndarray, reference: np.ndarray, subsets: int = KID_SUBSETS, subset: int = 0
) -> float:
    """Unbiased squared MMD with kernel (x.y/D + 1)^3, mean of 100 subsets (Binkowski et al. 2018).

    A subset has min(1000, N/2) of each side. Two samples of one distribution give 0 on average.

    Args:
        features: (N, D), N at least 4.
        reference: (M, D), M at least 4.
        subsets: Their number.
        subset: Pictures a side in one, of which there must be as many; 0: the rule above.
    """
    import torch
    from torch_fidelity.metric_kid import kid_features_to_metric

    return kid_features_to_metric(
        torch.from_numpy(features),
        torch.from_numpy(reference),
        kid_subsets=subsets,
        kid_subset_size=subset or kid_subset(len(features), len(reference)),
        rng_seed=SEED,
        verbose=False,
    )["kernel_inception_distance_mean"]


def kid_subset(n: int, m: int) -> int:
    """Pictures a side in a subset for KID of n and m pictures: it shrinks with them."""
    return min(KID_SUBSET, n // 2, m // 2)


def inception_score(logits: np.ndarray) -> float:
    """exp E KL(p(y|x) || p(y)), mean over 10 parts (Salimans et al. 2016); more is better.

    At most the number of classes. Of a network that was not trained on such pictures it says
    little.

    Args:
        logits: (N, K), of class probabilities.
    """
    import torch
    from torch_fidelity.metric_isc import isc_features_to_metric

    scores = isc_features_to_metric(torch.from_numpy(logits), splits=SPLITS, rng_seed=SEED)
    return scores["inception_score_mean"]


def gaussian_kl(features: np.ndarray, reference: np.ndarray, axes: int = 0) -> float:
    """KL(reference || features) in nats of Gaussians fitted to both on the reference's main axes.

    The axes are the reference's first min(64, N/10, M/10) principal ones: on all of them the
    covariance of few pictures has no inverse. Biased upwards at small N.

    Args:
        features: (N, D).
        reference: (M, D).
        axes: Their number, if not by this rule.
    """
    centre = reference.mean(0, dtype=np.float64)
    count = axes or kl_axes(len(features), *reference.shape)
    main = np.linalg.svd(reference - centre, full_matrices=False)[2][:count]
    reals, samples = ((side - centre) @ main.T for side in (reference, features))
    p, q = (np.atleast_2d(np.cov(side, rowvar=False)) for side in (reals, samples))
    gap = samples.mean(0) - reals.mean(0)
    try:
        np.linalg.cholesky(q)
    except np.linalg.LinAlgError:
        return math.inf  # the samples do not vary along some axis
    inside = np.trace(np.linalg.solve(q, p)) + gap @ np.linalg.solve(q, gap) - len(gap)
    return float(inside + np.linalg.slogdet(q)[1] - np.linalg.slogdet(p)[1]) / 2


def kl_axes(n: int, m: int, d: int) -> int:
    """The number of axes for n and m pictures of d features."""
    return max(1, min(AXES, n // 10, m // 10, d))


def frechet_at_infinity(features: np.ndarray, reference: np.ndarray) -> float:
    """Frechet distance at infinite N: the limit of a line in 1/N (Chong & Forsyth 2020).

    The line is fitted through the distances of random subsets of both sides, of 8 sizes from half
    of N to N (arXiv:1911.07023, section 4, with both sides shrunk alike). It still bends where N
    is not much larger than D.

    Args:
        features: (N, D).
        reference: (N, D).
    """
    rng, n = np.random.default_rng(SEED), min(len(features), len(reference))
    sizes = np.linspace(n // 2, n, SIZES).astype(int)
    values = [
        frechet_distance(*(rng.permutation(side)[:size] for side in (features, reference)))
        for size in sizes
    ]
    return float(np.polyfit(1 / sizes, values, 1)[1])


def half_sample_error(measure: Callable[..., float], *sides: np.ndarray | Features) -> float:
    """Standard error of measure(*sides) from half samples: its spread over random halves of all.

    The halves of a sample vary about as much as samples do (McCarthy 1969, "Pseudo-replication");
    unlike a bootstrap's they hold no picture twice, which would look like a collapse to KID and
    lower the rank of a covariance. Too large rather than too small where both sides are alike.

    Args:
        measure: A function of as many sets of pictures.
        sides: The whole sets, as features or arrays with a row a picture.
    """
    rng = np.random.default_rng(SEED)
    values = [
        measure(*(side[rng.permutation(len(side))[: len(side) // 2]] for side in sides))
        for _ in range(HALVES)
    ]
    return float(np.std(values, ddof=1))
