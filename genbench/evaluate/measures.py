"""The scores of features, each computed once of the same features by the same code."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version

import numpy as np

from genbench.console import say_once
from genbench.metrics import METRICS, Features, Metric, fidelity
from genbench.metrics.cache import Cache, KeyPart, source_hash, sources_of


def measure(
    samples: Features, reals: Features, metrics: Sequence[str], cache: Cache
) -> dict[str, float]:
    """Scores of as many samples as reals, by names of METRICS, of those the extractor can tell."""
    assert len(samples) == len(reals)
    return {
        metric.name: _once(metric, "score", samples, reals, cache, metric.compute)
        for metric in _possible(metrics, samples)
    }


def errors(
    samples: Features, reals: Features, metrics: Sequence[str], cache: Cache
) -> dict[str, float]:
    """Standard errors of these scores by half samples, but of those on request."""
    return {
        metric.name: _once(
            metric, "error", samples, reals, cache, partial(_half_sample_error, metric)
        )
        for metric in _possible(metrics, samples)
        if not metric.on_request
    }


def _possible(metrics: Sequence[str], samples: Features) -> list[Metric]:
    """Those that the extractor and so few pictures can tell."""
    known = [METRICS[name] for name in metrics]
    for metric in (m for m in known if m.needs_classes and not samples.logits.size):
        say_once(f"no {metric.name}: the extractor has no classes")
    known = [metric for metric in known if samples.logits.size or not metric.needs_classes]
    for metric in (metric for metric in known if len(samples) < metric.least):
        say_once(f"no {metric.name} of {len(samples)} pictures a side, {metric.least} needed")
    return [metric for metric in known if len(samples) >= metric.least]


def _half_sample_error(metric: Metric, samples: Features, reals: Features) -> float:
    return fidelity.half_sample_error(metric.compute_half or metric.compute, samples, reals)


def _once(
    metric: Metric,
    kind: str,
    samples: Features,
    reals: Features,
    cache: Cache,
    compute: Callable[[Features, Features], float],
) -> float:
    """A score, read back if it was computed before of these features by the same code."""
    sources = sources_of(metric.compute)
    if not sources:  # nothing would tell that it has changed
        return compute(samples, reals)
    arrays = [samples.features, samples.logits, reals.features, reals.logits]
    ours = sources_of(fidelity.half_sample_error)  # a user's metric may call its neighbours
    code = source_hash(__file__, *sorted({*ours, *sources}))
    key: list[KeyPart] = [code, version("torch-fidelity"), *arrays]
    value = cache.get(
        f"{kind}-{metric.name}", key, lambda: {"value": np.array(compute(samples, reals))}
    )
    return float(value["value"])
