"""Distances of samples to real pictures."""

import numpy as np
from ignite.engine import Engine, Events
from torch import Tensor

from genbench.config import GANConfig
from genbench.data import Data
from genbench.engines import EVAL_SEED
from genbench.handlers.pictures import render
from genbench.metrics.features import NAME, extract_features
from genbench.metrics.fidelity import frechet_distance, kernel_distance
from genbench.models import Recipe, State, draw_z
from genbench.run import say

FEWEST = 50  # pictures; a distance of fewer says nothing
_known: dict[tuple[str, str], np.ndarray] = {}  # features of reals, in this process


def distances(features: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Frechet distance and KID of as many features, as `fd_lite0_n500` and `kid_lite0_n500`."""
    assert len(features) == len(reference)
    end = f"{NAME}_n{len(features)}"
    return {
        f"fd_{end}": frechet_distance(features, reference),
        f"kid_{end}": kernel_distance(features, reference),
    }


def real_features(data: Data, split: str, index: Tensor) -> np.ndarray:
    """Features (n, D) of a split's pictures at `index`, computed once in a process."""
    key = data.content_hash, f"{split} {index.tolist()}"
    if key not in _known:
        part = data.splits[split].take(index.to(data.splits[split].rows.device))
        _known[key] = extract_features(part.images, str(part.labels.device))
    return _known[key]


def sample_features(
    recipe: Recipe, state: State, config: GANConfig, n: int, seed: int
) -> np.ndarray:
    """Features (n, D) of n samples."""
    fakes = render(recipe, state, draw_z(state, config, n, seed))
    return extract_features(fakes, str(state.device))


def val_distances(recipe: Recipe, state: State, config: GANConfig, data: Data) -> dict[str, float]:
    """The distances of the scores while training; none if they are off or pictures too few."""
    n = min(config.score_images, len(data.splits["val"]))
    if not config.score_every or n < FEWEST:
        return {}
    reference = real_features(data, "val", data.splits["val"].spread(n))
    return distances(sample_features(recipe, state, config, n, EVAL_SEED), reference)


def attach_scores(
    trainer: Engine, evaluator: Engine, recipe: Recipe, state: State, config: GANConfig, data: Data
) -> None:
    """Score the samples against the val split every `score_every` epochs and at the last one."""
    n = len(data.splits["val"])
    if config.score_every and n < FEWEST:
        say(f"no scores while training: {n} validation pictures, {FEWEST} needed; try --crops")

    @evaluator.on(Events.EPOCH_COMPLETED)
    def score() -> None:
        for name in [name for name in evaluator.state.metrics if f"_{NAME}_n" in name]:
            del evaluator.state.metrics[name]  # of an earlier epoch
        epoch, last = trainer.state.epoch, trainer.state.max_epochs
        due = config.score_every and epoch % config.score_every == 0
        if due or epoch == last or trainer.should_terminate:
            evaluator.state.metrics |= val_distances(recipe, state, config, data)
