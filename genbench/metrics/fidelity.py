"""How near generated pictures come to real ones, from features (N, D), by torch-fidelity.

Both depend on the extractor and on N: compare them only where both are the same.
"""

import numpy as np
import torch

KID_SUBSETS = 100
KID_SUBSET = 1000
SEED = 0  # of KID's subsets


def frechet_distance(features: np.ndarray, reference: np.ndarray) -> float:
    """Squared Frechet distance of Gaussians fitted to two sets (Heusel et al. 2017, eq. 6).

    Biased upwards at small N, more so the less the features correlate.

    Args:
        features: (N, D).
        reference: (M, D).
    """
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    sides = [fid_features_to_statistics(torch.from_numpy(f)) for f in (features, reference)]
    return fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"]


def kernel_distance(features: np.ndarray, reference: np.ndarray) -> float:
    """Unbiased squared MMD with kernel (x.y/D + 1)^3, mean of 100 subsets (Binkowski et al. 2018).

    A subset has min(1000, N/2) of each side. Two samples of one distribution give 0 on average.

    Args:
        features: (N, D), N at least 4.
        reference: (M, D), M at least 4.
    """
    from torch_fidelity.metric_kid import kid_features_to_metric

    subset = min(KID_SUBSET, len(features) // 2, len(reference) // 2)
    return kid_features_to_metric(
        torch.from_numpy(features),
        torch.from_numpy(reference),
        kid_subsets=KID_SUBSETS,
        kid_subset_size=subset,
        rng_seed=SEED,
        verbose=False,
    )["kernel_inception_distance_mean"]
