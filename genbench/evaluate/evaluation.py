"""`genbench evaluate`: models or folders held against the same real pictures by one protocol."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genbench import UserError, signals
from genbench.config import EvaluateConfig
from genbench.console import say
from genbench.device import pick_device
from genbench.evaluate.by_class import SCORES, by_class
from genbench.evaluate.distances import warn_of_few
from genbench.evaluate.folders import read_pair
from genbench.evaluate.likelihood import likelihood
from genbench.evaluate.measures import errors, measure
from genbench.evaluate.reals import sides
from genbench.evaluate.runs import Candidate, copies, keep_samples
from genbench.images import framed
from genbench.metrics import METRICS, Features
from genbench.metrics.cache import Cache, content_hash, feature_cache
from genbench.metrics.extractors import DEFAULT, INCEPTION, Extractor, load_extractor
from genbench.metrics.fidelity import kid_subset
from genbench.metrics.protocol import ModelScores, Protocol
from genbench.metrics.table import FEWEST, chosen


@dataclass(frozen=True)
class Benchmark:
    """A protocol with the real pictures' features, and their own scores, the floor."""

    protocol: Protocol
    extractor: Extractor
    metrics: tuple[str, ...]
    reals: Features
    floor: dict[str, float]  # empty where there were too few pictures for one
    cache: Cache

    def features(self, images: np.ndarray, title: str) -> Features:
        """Features of samples (N, C, S, S) `uint8`."""
        signals.check()
        return self.extractor.cached(images, self.cache, title)

    def scores(self, samples: Features) -> dict[str, float]:
        """See `measures.measure`."""
        return measure(samples, self.reals, self.metrics, self.cache)

    def errors(self, samples: Features) -> dict[str, float]:
        """See `measures.errors`."""
        return errors(samples, self.reals, self.metrics, self.cache)


@dataclass(frozen=True)
class Table:
    """Models scored by one protocol, and the same scores of real pictures against others."""

    rows: list[ModelScores]
    floor: dict[str, float]


def evaluate_models(candidates: list[Candidate], options: EvaluateConfig) -> Iterator[Table]:
    """Score models by each protocol, a table for each; `runs.keep` then records what was found.

    Raises:
        UserError: A metric is unknown, no run has the only one that is asked for, or there are too
            few pictures.
    """
    cache, metrics = feature_cache(), chosen(options.metrics)
    likely = [c for c in candidates if _has_likelihood(c)]
    if metrics == ("nll",) and not likely:
        drawn = ", ".join(dict.fromkeys(c.model.sampler for c in candidates))
        raise UserError(f"metrics=nll: {drawn}: no likelihood; name VAEs, and no --prior")
    if options.metrics and "nll" in metrics:
        for candidate in (c for c in candidates if not _has_likelihood(c)):
            say(f"no nll of {candidate.model.sampler}: it has no likelihood")
    splits = ("test", "train") if options.split == "both" else (options.split,)
    of_samples = tuple(name for name in metrics if name in METRICS)
    for extractor, names in extractors(options, of_samples):
        for split in splits if names else ():
            if benchmark := _benchmark(candidates, options, extractor, names, split, cache):
                yield score(candidates, options, benchmark)
        for candidate in candidates if extractor.name == options.extractor else ():
            found, model = candidate.findings, candidate.model
            if names:
                found["samples"] = keep_samples(candidate, options)
            if "memorization" in metrics and (
                copied := copies(candidate, options, extractor, cache)
            ):
                found["memorization"] = copied
            if model.classes and "test" in splits and set(SCORES) <= set(names):
                found["classes"] = by_class(model, options, extractor, cache)
    for candidate in likely if "nll" in metrics else ():
        signals.check()
        candidate.findings["likelihood"] = likelihood(candidate.model, "test", cache, options.draws)


def _has_likelihood(candidate: Candidate) -> bool:
    """Whether it is drawn from as its likelihood is: by its own prior."""
    return "log_weights" in candidate.model.family.can and not candidate.model.fitted


def _benchmark(
    candidates: list[Candidate],
    options: EvaluateConfig,
    extractor: Extractor,
    metrics: tuple[str, ...],
    split: str,
    cache: Cache,
) -> Benchmark | None:
    """The benchmark on a split; None, and a line, where it has too few pictures for one of both."""
    data = candidates[0].model.data
    pictures, others = sides(data, split)
    n = min(options.n, len(pictures), len(others))
    if n < FEWEST:
        few = f"split={split}: {n} pictures a side, {FEWEST} needed for a score"
        if options.split != "both":
            elsewhere = "" if split == "train" else "try --split=train, or "
            raise UserError(f"{few}; {elsewhere}train with more pictures or --crops")
        say(few)
        return None
    warn_of_few(f"split={split}", n)
    reals, rivals = (framed(p.take(slice(n)).images.cpu().numpy()) for p in (pictures, others))
    return make_benchmark(extractor, metrics, split, reals, rivals, cache)


def extractors(
    options: EvaluateConfig, metrics: tuple[str, ...]
) -> list[tuple[Extractor, tuple[str, ...]]]:
    """The extractor that was chosen; beside the default also Inception, if it can be had."""
    device = pick_device(options.device)
    first = load_extractor(options.extractor, options.extractor_weights, device)
    loaded = [(first, metrics)]
    by_inception = tuple(name for name in metrics if METRICS[name].inception)
    if options.extractor == DEFAULT and by_inception:
        try:
            loaded.append((load_extractor(INCEPTION, "", device), by_inception))
        except UserError as error:
            say(f"no FID: {error}")
    return loaded


def make_benchmark(
    extractor: Extractor,
    metrics: tuple[str, ...],
    split: str,
    reals: np.ndarray,
    others: np.ndarray | None,
    cache: Cache,
) -> Benchmark:
    """A protocol by reals (N, C, S, S), its floor by as many other real pictures."""
    features = extractor.cached(reals, cache, "real pictures")
    floor: dict[str, float] = {}
    if others is not None:
        rivals = extractor.cached(others, cache, "real pictures")
        floor = measure(rivals, features, metrics, cache)
    protocol = Protocol(
        extractor=extractor.name,
        weights=extractor.weights,
        reals=content_hash([reals])[:12],
        split=split,
        size=reals.shape[-1],
        n=len(reals),
    )
    return Benchmark(protocol, extractor, metrics, features, floor, cache)


def score(candidates: list[Candidate], options: EvaluateConfig, benchmark: Benchmark) -> Table:
    """Scores by one protocol: a row for the runs that differ in their training seed alone."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.record.about["key"], []).append(candidate)
    rows = [_row(group, options, benchmark) for group in groups.values()]
    titles = [row.title for row in rows]
    rows = [
        dataclasses.replace(row, title=f"{row.title} {key}") if titles.count(row.title) > 1 else row
        for row, key in zip(rows, groups, strict=True)
    ]
    return Table(rows, benchmark.floor)


def _row(group: list[Candidate], options: EvaluateConfig, benchmark: Benchmark) -> ModelScores:
    """The scores of the runs of one configuration, each entered into what its record will say."""
    by_run, spread = [], dict[str, float]()
    for candidate in group:
        draws = [
            _features(candidate, benchmark, seed)
            for seed in range(options.seed, options.seed + options.seeds)
        ]
        values = _collect([benchmark.scores(samples) for samples in draws])
        by_run.append(values)
        if len(group) == options.seeds == 1:
            spread = benchmark.errors(draws[0])
        n = benchmark.protocol.n
        candidate.findings.setdefault("scores", []).append(
            {
                "ruler": dataclasses.asdict(benchmark.protocol),
                "kid_subset": kid_subset(n, n),
                "values": values,
                "errors": spread,
                "floor": benchmark.floor,
            }
        )
    over = "training seeds" if len(group) > 1 else "sampling seeds"
    if len(group) > 1:  # a training is what varies: its samples' mean is one value
        values = {name: [float(np.mean(run[name])) for run in by_run] for name in by_run[0]}
    return ModelScores(group[0].model.sampler, benchmark.protocol, values, spread, over)


def _features(candidate: Candidate, benchmark: Benchmark, seed: int) -> Features:
    model = candidate.model
    images = framed(model.sample_bytes(benchmark.protocol.n, seed))
    return benchmark.features(images, f"samples of {model.sampler}")


def _collect(draws: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """The values of each score over draws."""
    return {name: [draw[name] for draw in draws] for name in draws[0]}


def evaluate_folders(fakes: Path, reals: Path, options: EvaluateConfig) -> Iterator[Table]:
    """Score a folder of samples against a folder of real pictures; the floor needs 2 N reals.

    Raises:
        UserError: The folders do not fit together, hold too few pictures, or no metric is left.
    """
    cache = feature_cache()
    metrics = tuple(name for name in chosen(options.metrics) if name in METRICS)
    if not metrics:
        raise UserError(f"metrics={options.metrics}: need a model; name others for two folders")
    if options.metrics and (left := sorted({*chosen(options.metrics)} - set(metrics))):
        say(f"no {', '.join(left)}: of runs alone, not of folders")
    samples, pictures = read_pair(fakes, reals, options)
    n = min(options.n, len(samples), len(pictures))
    few = fakes if len(samples) == n else reals
    if n < FEWEST:
        raise UserError(f"{few}: {n} pictures, {FEWEST} needed for a score")
    warn_of_few(str(few), n)
    others = pictures[n : 2 * n] if len(pictures) >= 2 * n else None
    if others is None:
        say(f"no floor: {2 * n} real pictures needed for two sides of {n}")
    for extractor, names in extractors(options, metrics):
        benchmark = make_benchmark(extractor, names, "folder", pictures[:n], others, cache)
        features = benchmark.features(samples[:n], "samples")
        values = _collect([benchmark.scores(features)])
        row = ModelScores(fakes.name, benchmark.protocol, values, benchmark.errors(features))
        yield Table([row], benchmark.floor)
