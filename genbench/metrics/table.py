"""The scores of samples by name: the one table that evaluation, printing, report and sweep read.

A new one is a `Metric` and `METRICS.add(...)`, or an entry point of the group `genbench.metrics`.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genbench import UserError
from genbench.config import FEWEST as FEWEST
from genbench.config import LEAST as LEAST
from genbench.fields import words
from genbench.metrics import fidelity
from genbench.metrics.features import Features
from genbench.metrics.neighbours import neighbour_scores
from genbench.metrics.vendi import vendi_score
from genbench.registry import Registry
from genbench.scalars import Scalar

RANKED_BY = "kid"  # unbiased, so that it may order at a small N
BY_MODEL = ("memorization", "nll")  # `--metrics` that need a model, not only its samples

Measure = Callable[[Features, Features], float]  # samples, as many real pictures -> score


@dataclass(frozen=True, kw_only=True)
class Metric(Scalar):
    """A score of samples, from their features and those of as many real pictures.

    name: In records and tables.
    compute: The score of samples and reals.
    compute_half: The same of half samples, if it differs; their spread gives the standard error of
        a single draw, of all but those on request.
    flag: What `--metrics` calls it, if not by its name.
    while_training: It is cheap enough for the scores while training.
    at_end: It is among the final scores of a training; so are those while training.
    inception: A final evaluation adds it by Inception, where that can be had.
    needs_classes: It reads logits, so that the extractor must have classes.
    on_request: Only computed where `--metrics` names it, and without half samples.
    least: Pictures a side below which it means nothing, and is left out.
    """

    name: str
    compute: Measure
    compute_half: Measure | None = None
    flag: str = ""
    while_training: bool = False
    at_end: bool = False
    inception: bool = False
    needs_classes: bool = False
    on_request: bool = False
    least: int = FEWEST

    def __post_init__(self) -> None:
        """Raise `ValueError` for a name that could not be read back from records."""
        if not re.fullmatch("[a-z][a-z0-9_]*", self.name) or self.name.startswith("floor_"):
            raise ValueError(f"metric {self.name!r}: write small letters, digits and _")

    @property
    def asked_by(self) -> str:
        """Its word in `--metrics`."""
        return self.flag or self.name


METRICS: Registry[Metric] = Registry(
    "genbench.metrics",
    tuple(
        f"{__name__}:{name}"
        for name in (
            *("FD", "KID", "ISC", "PRECISION", "RECALL", "DENSITY", "COVERAGE", "KL"),
            *("FD_INFINITY", "VENDI", "AUTHPCT"),
        )
    ),
)


def _of_features(score: Callable[[np.ndarray, np.ndarray], float]) -> Measure:
    return lambda samples, reals: score(samples.features, reals.features)


def _by_neighbours(name: str) -> Measure:
    return _of_features(lambda samples, reals: neighbour_scores(samples, reals)[name])


def _of_logits(samples: Features, reals: Features) -> float:
    return fidelity.inception_score(samples.logits)


def _kid_of_all(samples: np.ndarray, reals: np.ndarray) -> float:
    """KID of all pictures as one subset: a half sample is one already."""
    size = min(len(samples), len(reals))
    return fidelity.kernel_distance(samples, reals, subsets=1, subset=size)


def _kl_of_half(samples: np.ndarray, reals: np.ndarray) -> float:
    """On as many axes as of the whole: of half samples by themselves there would be fewer."""
    axes = fidelity.kl_axes(2 * len(samples), 2 * len(reals), reals.shape[1])
    return fidelity.gaussian_kl(samples, reals, axes)


FD = Metric(
    name="fd",
    title="Fréchet distance",
    better="minimize",
    digits=1,
    compute=_of_features(fidelity.frechet_distance),
    while_training=True,
    inception=True,
)
KID = Metric(
    name="kid",
    title="KID",
    better="minimize",
    digits=4,
    compute=_of_features(fidelity.kernel_distance),
    compute_half=_of_features(_kid_of_all),
    while_training=True,
)
ISC = Metric(
    name="isc_mean",
    title="Inception Score",
    better="maximize",
    digits=2,
    compute=_of_logits,
    flag="isc",
    least=LEAST,  # it is a mean over ten parts
    inception=True,
    needs_classes=True,
)
PRECISION = Metric(
    name="precision",
    title="Precision",
    better="maximize",
    digits=3,
    compute=_by_neighbours("precision"),
    within=(0.0, 1.0),
    flag="prc",
    at_end=True,
)
RECALL = Metric(
    name="recall",
    title="Recall",
    better="maximize",
    digits=3,
    compute=_by_neighbours("recall"),
    within=(0.0, 1.0),
    flag="prc",
    at_end=True,
)
DENSITY = Metric(
    name="density",
    title="Density",
    better="maximize",
    digits=3,
    compute=_by_neighbours("density"),
    within=(0.0, math.inf),
    flag="dc",
    least=LEAST,
)
COVERAGE = Metric(
    name="coverage",
    title="Coverage",
    better="maximize",
    digits=3,
    compute=_by_neighbours("coverage"),
    within=(0.0, 1.0),
    flag="dc",
    least=LEAST,
)
KL = Metric(
    name="kl",
    title="KL of Gaussians in feature space",
    unit="nats",
    better="minimize",
    digits=2,
    compute=_of_features(fidelity.gaussian_kl),
    compute_half=_of_features(_kl_of_half),
)
FD_INFINITY = Metric(
    name="fd_infinity",
    title="Fréchet distance at infinite N",
    better="minimize",
    digits=1,
    compute=_of_features(fidelity.frechet_at_infinity),
    on_request=True,
)
VENDI = Metric(
    name="vendi",
    title="Vendi score",
    unit="unlike pictures",
    better="maximize",
    digits=1,
    compute=lambda samples, reals: vendi_score(samples.features),
    within=(1.0, math.inf),
    on_request=True,
    least=LEAST,
)
AUTHPCT = Metric(
    name="authpct",
    title="Authentic samples (AuthPct)",
    unit="%",
    better="maximize",
    digits=1,
    compute=_by_neighbours("authpct"),
    within=(0.0, 100.0),
    on_request=True,
    least=LEAST,
)


def chosen(asked: str) -> tuple[str, ...]:
    """What `--metrics` asks for, by names of METRICS and BY_MODEL.

    Nothing asks for all but what is computed on request.

    Raises:
        UserError: A word is no metric's.
    """
    names = words(asked)
    if not names:
        return *(name for name, metric in METRICS.items() if not metric.on_request), *BY_MODEL
    known = dict.fromkeys([*(metric.asked_by for metric in METRICS.values()), *BY_MODEL])
    metrics: dict[str, None] = {}
    for word in names:
        of_word = [name for name, metric in METRICS.items() if word in (metric.asked_by, name)]
        of_word += [name for name in BY_MODEL if name == word]
        if not of_word:
            raise UserError(f"metrics={asked!r}: any of {', '.join(known)}, by commas")
        metrics |= dict.fromkeys(of_word)
    return tuple(metrics)
