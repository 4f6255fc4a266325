"""`genbench evaluate`: models or folders held against the same real pictures by one ruler."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genbench import UserError
from genbench.config import EvaluateConfig
from genbench.engines import pick_device
from genbench.evaluate.folders import read_pair
from genbench.evaluate.likelihood import likelihood
from genbench.evaluate.measures import errors, measure
from genbench.evaluate.reals import sides
from genbench.evaluate.runs import Model, copies
from genbench.handlers import FEWEST, feature_cache, framed
from genbench.metrics.cache import Cache, content_hash
from genbench.metrics.extractors import DEFAULT, INCEPTION, Extractor, Features, load_extractor
from genbench.metrics.fidelity import kid_subset
from genbench.rulers import Row, Ruler
from genbench.run import say

BY_INCEPTION = ("fd", "isc")  # the columns that a final evaluation adds where it can


@dataclass(frozen=True)
class Yardstick:
    """A ruler, ready to measure: the real pictures' features, and their own scores, the floor."""

    ruler: Ruler
    extractor: Extractor
    metrics: tuple[str, ...]
    reals: Features
    floor: dict[str, float]  # empty where there were too few pictures for one
    cache: Cache

    def look(self, images: np.ndarray, title: str) -> Features:
        """Features of samples (N, C, S, S) `uint8`."""
        return self.extractor.cached(images, self.cache, title)

    def scores(self, fakes: Features) -> dict[str, float]:
        """See `measures.measure`."""
        return measure(fakes, self.reals, self.metrics, self.cache)

    def errors(self, fakes: Features) -> dict[str, float]:
        """See `measures.errors`."""
        return errors(fakes, self.reals, self.metrics, self.cache)


@dataclass(frozen=True)
class Table:
    """Rows of one ruler, and the same scores of real pictures against others: the floor."""

    rows: list[Row]
    floor: dict[str, float]


def evaluate_models(models: list[Model], options: EvaluateConfig) -> Iterator[Table]:
    """Score models under each ruler, a table for each; `record` then keeps what was found."""
    cache, metrics = feature_cache(), options.scores
    splits = ("test", "train") if options.split == "both" else (options.split,)
    drawn = tuple(name for name in metrics if name not in ("memorization", "nll"))
    for extractor, names in extractors(options, drawn):
        for split in splits if names else ():
            data = models[0].data
            index, rivals = sides(data, split)
            n = min(options.n, len(index), len(rivals))
            if n < FEWEST:
                few = f"split={split}: {n} pictures a side, {FEWEST} needed for a score"
                if options.split != "both":
                    raise UserError(f"{few}; try --split=train, or train with more --crops")
                say(few)
                continue
            reals = framed(data.splits[split].take(index[:n]).images.cpu().numpy())
            others = framed(data.splits["train"].take(rivals[:n]).images.cpu().numpy())
            stick = make_yardstick(extractor, names, split, reals, others, cache)
            yield score(models, options, stick)
        if "memorization" in metrics and extractor.name == options.extractor:
            for model in models:
                if found := copies(model, options, extractor, cache):
                    model.found["memorization"] = found
    for model in models:
        if "nll" in metrics and model.recipe.log_weights:
            parts = model.recipe, model.state, model.config, model.data, "test", cache
            model.found["likelihood"] = likelihood(*parts)


def extractors(
    options: EvaluateConfig, metrics: tuple[str, ...]
) -> list[tuple[Extractor, tuple[str, ...]]]:
    """The extractor that was chosen; beside the default also Inception, if it can be had."""
    device = pick_device(options.device)
    mine = load_extractor(options.extractor, options.extractor_weights, device)
    found = [(mine, metrics)]
    if options.extractor == DEFAULT and (
        wanted := tuple(name for name in metrics if name in BY_INCEPTION)
    ):
        try:
            found.append((load_extractor(INCEPTION, "", device), wanted))
        except UserError as error:
            say(f"no FID: {error}")
    return found


def make_yardstick(
    extractor: Extractor,
    metrics: tuple[str, ...],
    split: str,
    reals: np.ndarray,
    others: np.ndarray | None,
    cache: Cache,
) -> Yardstick:
    """A ruler by reals (N, C, S, S), its floor by as many other real pictures."""
    found = extractor.cached(reals, cache, "real pictures")
    floor: dict[str, float] = {}
    if others is not None:
        rivals = extractor.cached(others, cache, "real pictures")
        floor = measure(rivals, found, metrics, cache)
    ruler = Ruler(
        *(extractor.name, extractor.weights, content_hash([reals])[:12]),
        *(split, reals.shape[-1], len(reals)),
    )
    return Yardstick(ruler, extractor, metrics, found, floor, cache)


def score(models: list[Model], options: EvaluateConfig, stick: Yardstick) -> Table:
    """Scores by one ruler: a row for the runs that differ in their training seed alone."""
    groups: dict[str, list[Model]] = {}
    for model in models:
        groups.setdefault(model.record.about["key"], []).append(model)
    rows = [_row(group, options, stick) for group in groups.values()]
    titles = [row.title for row in rows]
    rows = [
        dataclasses.replace(row, title=f"{row.title} {key}") if titles.count(row.title) > 1 else row
        for row, key in zip(rows, groups, strict=True)
    ]
    return Table(rows, stick.floor)


def _row(group: list[Model], options: EvaluateConfig, stick: Yardstick) -> Row:
    """The scores of the runs of one configuration, each entered into what its record will say."""
    by_run: list[dict[str, list[float]]] = []
    spread: dict[str, float] = {}
    for model in group:
        values: dict[str, list[float]] = {}
        for seed in range(options.seed, options.seed + options.seeds):
            images = framed(model.sampler.draw(stick.ruler.n, seed))
            fakes = stick.look(images, f"samples of {model.sampler.title}")
            for name, value in stick.scores(fakes).items():
                values.setdefault(name, []).append(value)
        by_run.append(values)
        if len(group) == options.seeds == 1:
            spread = stick.errors(fakes)
        n = stick.ruler.n
        found = {"ruler": dataclasses.asdict(stick.ruler), "kid_subset": kid_subset(n, n)}
        found |= {"values": values, "errors": spread, "floor": stick.floor}
        model.found.setdefault("scores", []).append(found)
    if len(group) > 1:  # a training is what varies: its samples' mean is one value
        values = {name: [float(np.mean(run[name])) for run in by_run] for name in by_run[0]}
    over = "training seeds" if len(group) > 1 else "sampling seeds"
    return Row(group[0].sampler.title, stick.ruler, values, spread, over)


def evaluate_folders(fakes: Path, reals: Path, options: EvaluateConfig) -> Iterator[Table]:
    """Score a folder of samples against a folder of real pictures; the floor needs 2 N reals.

    Raises:
        UserError: The folders do not fit together, hold too few pictures, or no metric is left.
    """
    cache = feature_cache()
    metrics = tuple(name for name in options.scores if name not in ("memorization", "nll"))
    if not metrics:
        raise UserError(f"metrics={options.metrics}: need a model; name others for two folders")
    ours, theirs = read_pair(fakes, reals, options)
    n = min(options.n, len(ours), len(theirs))
    if n < FEWEST:
        few = fakes if len(ours) == n else reals
        raise UserError(f"{few}: {n} pictures, {FEWEST} needed for a score")
    others = theirs[n : 2 * n] if len(theirs) >= 2 * n else None
    if others is None:
        say(f"no floor: {2 * n} real pictures needed for two sides of {n}")
    for extractor, names in extractors(options, metrics):
        stick = make_yardstick(extractor, names, "folder", theirs[:n], others, cache)
        found = stick.look(ours[:n], "samples")
        values = {name: [value] for name, value in stick.scores(found).items()}
        yield Table([Row(fakes.name, stick.ruler, values, stick.errors(found))], stick.floor)
