"""Scores by nearest neighbours: all of them from the same distances, which are computed once."""

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from genbench.metrics.cache import content_hash

if TYPE_CHECKING:
    from torch import Tensor

MANIFOLD = 3  # neighbours in a ball of precision and recall (Kynkaanniemi et al. 2019)
BALL = 5  # and of density and coverage (Naeem et al. 2020)
ROWS = 2_000  # pictures held against all others at once
REMEMBERED = 64  # pairs of sets, so that the half samples of one score serve the others too

_known: OrderedDict[str, dict[str, float]] = OrderedDict()


def neighbour_scores(features: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """How samples lie among the real pictures, from Euclidean distances of features.

    A picture's ball reaches to its k-th nearest neighbour on its own side.

    precision, recall: the share of samples in a ball of the reals, of reals in a ball of the
        samples, k = 3 (Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 1-2).
    density: in how many reals' balls a sample lies, divided by k = 5: 1 on average of two samples
        of one distribution, more where samples crowd where reals are dense. coverage: the share of
        reals with a sample in their ball; of N and N pictures of one distribution about
        1 - 2^-k = 0.97 (Naeem et al. 2020, arXiv:2002.09797). Of samples no ball counts, so that
        one far away cannot seem to reach all reals.
    authpct: the share of samples, in %, that are further from the nearest real than that one is
        from its own nearest real (authenticity of Alaa et al. 2022, arXiv:2102.08921, by the name
        that Stein et al. 2023 gave it). Of copies 0. It means copying where the reals were trained
        on.

    Args:
        features: (N, D), of samples; N at least 4, for density and coverage 6.
        reference: (M, D), of reals; M likewise.
    """
    key = content_hash([features, reference])
    if key not in _known:
        _known[key] = _scores(features, reference)
    while len(_known) > REMEMBERED:
        _known.popitem(last=False)
    return _known[key]


def _nearest(rows: "Tensor", side: "Tensor") -> "Tensor":
    """Distances (R, 6) of some pictures to the nearest of their side: first to themselves."""
    import torch

    return torch.cdist(rows, side).topk(min(BALL + 1, len(side)), largest=False)[0]


def _scores(features: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    import torch

    samples, reals = torch.from_numpy(features), torch.from_numpy(reference)
    of_samples, of_reals = (
        torch.cat([_nearest(rows, side) for rows in side.split(ROWS)]) for side in (samples, reals)
    )
    nearest = torch.full((len(reals),), torch.inf, dtype=reals.dtype)
    recalled = torch.zeros(len(reals), dtype=torch.bool)
    precise, balls, authentic = 0, 0, 0
    for rows, radii in zip(samples.split(ROWS), of_samples.split(ROWS), strict=True):
        between = torch.cdist(rows, reals)
        precise += int((between <= of_reals[:, MANIFOLD]).any(1).sum())
        balls += int((between <= of_reals[:, -1]).sum())
        recalled |= (between <= radii[:, MANIFOLD, None]).any(0)
        nearest = torch.minimum(nearest, between.amin(0))
        distance, real = between.min(1)
        authentic += int((distance > of_reals[real, 1]).sum())
    return {
        "precision": precise / len(samples),
        "recall": int(recalled.sum()) / len(reals),
        "density": balls / (BALL * len(samples)),
        "coverage": int((nearest <= of_reals[:, -1]).sum()) / len(reals),
        "authpct": 100 * authentic / len(samples),
    }
