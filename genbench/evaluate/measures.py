"""The scores of features by name, each computed once of the same features."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version

import numpy as np

from genbench.metrics import fidelity
from genbench.metrics.cache import Cache, source_hash
from genbench.metrics.extractors import Features

Measure = Callable[[np.ndarray, np.ndarray], float]  # of samples' and reals' features
PAIRED: dict[str, Measure] = {
    "fd": fidelity.frechet_distance,
    "kid": fidelity.kernel_distance,
    "kl": fidelity.gaussian_kl,
    "fd_infinity": fidelity.frechet_at_infinity,
}


def measure(
    fakes: Features, reals: Features, metrics: Sequence[str], cache: Cache
) -> dict[str, float]:
    """Scores of as many samples as reals: fd, kid, isc_mean, precision, recall, kl, fd_infinity.

    isc_mean is the samples' alone, and only of networks with classes.
    """
    assert len(fakes) == len(reals)
    scores: dict[str, float] = {}
    sides = fakes.features, reals.features
    for name in metrics:
        if name in PAIRED:
            scores |= _known(cache, name, sides, partial(_paired, name, *sides))
        elif name == "prc":
            scores |= _known(cache, name, sides, partial(_precision_recall, *sides))
        elif name == "isc" and fakes.logits.size:
            scores |= _known(cache, name, (fakes.logits,), partial(_inception, fakes.logits))
    return scores


def errors(
    fakes: Features, reals: Features, metrics: Sequence[str], cache: Cache
) -> dict[str, float]:
    """Standard errors of these scores by half samples; fd_infinity has none."""
    sides = fakes.features, reals.features
    axes = fidelity.kl_axes(len(fakes), *reals.features.shape)
    functions: dict[str, dict[str, Measure]] = {
        "fd": {"fd": fidelity.frechet_distance},
        "kid": {"kid": _kid_of_all},
        "kl": {"kl": partial(fidelity.gaussian_kl, axes=axes)},  # in halves there would be fewer
        "prc": {"precision": _precision, "recall": _recall},
    }
    found: dict[str, float] = {}
    for name in metrics:
        if name in functions:
            found |= _known(cache, f"error-{name}", sides, partial(_errors, functions[name], sides))
        elif name == "isc" and fakes.logits.size:
            one, logits = {"isc_mean": fidelity.inception_score}, (fakes.logits,)
            found |= _known(cache, "error-isc", logits, partial(_errors, one, logits))
    return found


def _errors(
    functions: Mapping[str, Callable[..., float]], sides: Sequence[np.ndarray]
) -> dict[str, float]:
    return {k: fidelity.half_sample_error(function, *sides) for k, function in functions.items()}


def _paired(name: str, fakes: np.ndarray, reals: np.ndarray) -> dict[str, float]:
    return {name: PAIRED[name](fakes, reals)}


def _inception(logits: np.ndarray) -> dict[str, float]:
    return {"isc_mean": fidelity.inception_score(logits)}


def _kid_of_all(fakes: np.ndarray, reals: np.ndarray) -> float:
    """KID of all pictures as one subset: a half sample is one already."""
    return fidelity.kernel_distance(fakes, reals, subsets=1, subset=min(len(fakes), len(reals)))


def _precision(fakes: np.ndarray, reals: np.ndarray) -> float:
    return fidelity.precision_recall(fakes, reals)[0]


def _recall(fakes: np.ndarray, reals: np.ndarray) -> float:
    return fidelity.precision_recall(fakes, reals)[1]


def _precision_recall(fakes: np.ndarray, reals: np.ndarray) -> dict[str, float]:
    precision, recall = fidelity.precision_recall(fakes, reals)
    return {"precision": precision, "recall": recall}


def _known(
    cache: Cache, name: str, sides: Sequence[np.ndarray], make: Callable[[], dict[str, float]]
) -> dict[str, float]:
    """The scores of these features, read back if they were computed before by the same code."""
    code = source_hash(__file__, fidelity.__file__), version("torch-fidelity")
    found = cache.get(
        f"score-{name}", [*code, *sides], lambda: {k: np.array(v) for k, v in make().items()}
    )
    return {k: float(v) for k, v in found.items()}
