"""What a search tries: the queue of a grid, who proposes, who prunes."""

import itertools
import json
import os
import platform
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState
from tqdm import tqdm

from genbench.search.study import point
from genbench.sweep import Stopping


def grid(space: dict[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the choices."""
    choices = [distribution.choices for distribution in space.values()]
    return [dict(zip(space, point, strict=True)) for point in itertools.product(*choices)]


def enqueue_grid(study: optuna.Study, space: dict[str, CategoricalDistribution]) -> None:
    """Enqueue every point of the grid; one that is there already is left out."""
    there = {json.dumps(point(trial), sort_keys=True) for trial in study.get_trials(deepcopy=False)}
    for one in tqdm(grid(space), "enqueueing the grid", leave=False, disable=None, delay=1):
        if json.dumps(one, sort_keys=True) not in there:
            study.enqueue_trial(one)


def taken(study: optuna.Study, trial: optuna.Trial) -> bool:
    """Whether another trial of a grid has this one's point, or it is no point of the grid's queue.

    Two processes that ask at once for the last point get it and one that the sampler made up; two
    that complete the queue of a third at once may leave a point there twice.
    """
    trials = study.get_trials(deepcopy=False)
    mine = trials[trial.number]
    lives = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    twins = [t for t in trials if t.state in lives and point(t) == point(mine)]
    queued = "fixed_params" in mine.system_attrs
    return not queued or any(twin.number < mine.number for twin in twins)


def make_sampler(method: str, seed: int, crowded: bool = False) -> optuna.samplers.BaseSampler:
    """TPE for `bayes` (Bergstra et al. 2011), else uniform random.

    Args:
        method: Of the sweep.
        seed: The same seed proposes the same points.
        crowded: Others propose at the same time: keep away from what they are trying, and do not
            repeat their random numbers.
    """
    if crowded:
        seed = hash((seed, platform.node(), os.getpid())) % 2**32
    if method == "bayes":
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, constant_liar=crowded)
    return optuna.samplers.RandomSampler(seed=seed)


def make_pruner(stopping: Stopping | None) -> optuna.pruners.BasePruner:
    """`early_terminate` as a pruner.

    hyperband is asynchronous successive halving (Li et al. 2020), as in W&B.
    """
    if stopping is None:
        return optuna.pruners.NopPruner()
    if stopping.type == "median":
        return optuna.pruners.MedianPruner(n_warmup_steps=stopping.min_iter)
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=stopping.min_iter, reduction_factor=stopping.eta
    )
