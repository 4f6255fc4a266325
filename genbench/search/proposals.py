"""Who proposes a trial's parameters, and who stops it early."""

import os
import platform

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from genbench.sweep import Stopping


def suggest(trial: optuna.Trial, space: dict[str, BaseDistribution]) -> None:
    """Let the sampler choose a trial's parameters, those that are not enqueued with it."""
    for name, d in space.items():
        if isinstance(d, CategoricalDistribution):
            trial.suggest_categorical(name, d.choices)
        elif isinstance(d, IntDistribution):
            trial.suggest_int(name, d.low, d.high, step=d.step, log=d.log)
        elif isinstance(d, FloatDistribution):
            trial.suggest_float(name, d.low, d.high, step=d.step, log=d.log)


def make_sampler(method: str, seed: int, crowded: bool = False) -> optuna.samplers.BaseSampler:
    """TPE for `bayes` (Bergstra et al. 2011), else uniform random; one seed, one series of points.

    Where other processes propose at the same time (`crowded`), it keeps away from what they are
    trying, and does not repeat their random numbers.
    """
    if crowded:
        seed = hash((seed, platform.node(), os.getpid())) % 2**32
    if method == "bayes":
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, constant_liar=crowded)
    return optuna.samplers.RandomSampler(seed=seed)


def make_pruner(stopping: Stopping | None) -> optuna.pruners.BasePruner:
    """`early_terminate`; hyperband is asynchronous successive halving (Li et al. 2020)."""
    if stopping is None:
        return optuna.pruners.NopPruner()
    if stopping.type == "median":
        return optuna.pruners.MedianPruner(n_warmup_steps=stopping.min_iter)
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=stopping.min_iter, reduction_factor=stopping.eta
    )
