"""Distances of samples to real pictures."""

import numpy as np
from ignite.engine import Engine, Events
from torch import Tensor

from genbench import UserError
from genbench.config import Config
from genbench.data import Data
from genbench.data.pictures import cache_folder
from genbench.engines import EVAL_SEED
from genbench.handlers.pictures import framed, render
from genbench.metrics.cache import Cache
from genbench.metrics.extractors import LITE0, load_extractor
from genbench.metrics.fidelity import frechet_distance, kernel_distance
from genbench.models import Recipe, State, draw_z
from genbench.run import say

FEWEST = 50  # pictures; a distance of fewer says nothing


def distances(features: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Frechet distance and KID of as many features, as `fd_lite0_n500` and `kid_lite0_n500`."""
    assert len(features) == len(reference)
    end = f"{LITE0}_n{len(features)}"
    return {
        f"fd_{end}": frechet_distance(features, reference),
        f"kid_{end}": kernel_distance(features, reference),
    }


def real_features(data: Data, split: str, index: Tensor) -> np.ndarray:
    """Features (n, D) of a split's pictures at `index`, computed once on this machine."""
    part = data.splits[split].take(index.to(data.splits[split].rows.device))
    extractor = load_extractor(device=str(part.labels.device))
    return extractor.cached(framed(part.images.cpu().numpy()), feature_cache()).features


def sample_features(recipe: Recipe, state: State, config: Config, n: int, seed: int) -> np.ndarray:
    """Features (n, D) of n samples."""
    fakes = render(recipe, state, draw_z(state, config, n, seed))
    return load_extractor(device=str(state.device))(framed(fakes)).features


def feature_cache() -> Cache:
    """Where features are kept."""
    return Cache(cache_folder() / "features")


def val_features(config: Config, data: Data) -> np.ndarray | None:
    """The real features of the scores while training; None if these are off or pictures too few."""
    val = data.splits["val"]
    index = val.spread(config.eval_images)
    if not config.eval_every or len(index) < FEWEST:
        return None
    return real_features(data, "val", index)


def val_distances(recipe: Recipe, state: State, config: Config, data: Data) -> dict[str, float]:
    """The distances of the scores while training, if there are any."""
    reference = val_features(config, data)
    if reference is None:
        return {}
    return distances(sample_features(recipe, state, config, len(reference), EVAL_SEED), reference)


def attach_scores(
    trainer: Engine, evaluator: Engine, recipe: Recipe, state: State, config: Config, data: Data
) -> None:
    """Score the samples against the val split every `eval_every` epochs and at the last one.

    Raises:
        UserError: The family has no prior to draw samples from.
    """
    n = len(data.splits["val"])
    if not config.eval_every:
        return
    if not recipe.generate:
        raise UserError(
            f"eval_every={config.eval_every}: model {config.model} has no prior to draw from; "
            "`genbench evaluate` fits one to its codes"
        )
    if n < FEWEST:
        say(f"no scores while training: {n} validation pictures, {FEWEST} needed; try --crops")

    @evaluator.on(Events.EPOCH_COMPLETED)
    def score() -> None:
        for name in [name for name in evaluator.state.metrics if f"_{LITE0}_n" in name]:
            del evaluator.state.metrics[name]  # of an earlier epoch
        epoch, last = trainer.state.epoch, trainer.state.max_epochs
        if epoch % config.eval_every == 0 or epoch == last or trainer.should_terminate:
            evaluator.state.metrics |= val_distances(recipe, state, config, data)
