"""A search as the report reads it: <runs_dir>/studies/<name>.json."""

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import distribution_to_json

from genbench import environment
from genbench.config import Config
from genbench.record.feeding import log_search
from genbench.search.study import REPEATS, WORKER, first_try
from genbench.sweep import Sweep

if TYPE_CHECKING:
    from genbench.search.search import Search


def study_name(base: Config, sweep: Sweep, pareto: bool) -> str:
    """The study's name, with a hash of all that its scores depend on: space, data, budget."""
    space = {name: distribution_to_json(d) for name, d in sweep.space.items()}
    flags = [part for part in sweep.command if part.startswith("--")]
    parts = [base.key, base.seed, space, sweep.method, flags, sweep.metric, sweep.goal, pareto]
    parts += [list(sweep.seeds)] if sweep.seeds else []
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]
    return f"{base.model}-{base.data}-{base.epochs}ep{'-pareto' if pareto else ''}-{digest}"


def to_record(search: "Search") -> dict[str, Any]:
    """The search's space, trials and best."""
    trials = search.study.get_trials(deepcopy=False)
    any_completed = bool(search.completed())
    return {
        "name": search.name,
        "model": search.family.name,
        "data": search.base.data,
        "epochs": search.base.epochs,
        "objectives": search.objectives,
        "directions": [direction.name.lower() for direction in search.study.directions],
        "space": {k: distribution_to_json(d) for k, d in search.sweep.space.items()},
        "base": dataclasses.asdict(search.base),
        "wandb": place_of(search),
        "best": search.best().number if any_completed else None,
        "final_key": search.final_config(0, search.best().params).key if any_completed else None,
        "defaults_key": search.final_config(0, search.defaults).key if search.again else None,
        "again": search.confirmed,
        "seeds": list(search.seeds),
        "trials": [_describe(trial) for trial in trials if REPEATS not in trial.user_attrs],
    }


def place_of(search: "Search") -> dict[str, str]:
    """Where in W&B the search itself is, and what it is called there."""
    o = search.options
    given = {"project": o.project, "entity": o.entity, "name": o.name, "tags": o.tags}
    return environment.wandb_place(given | {"notes": o.notes, "group": search.name})


def show(search: "Search") -> None:
    """Give a search that was written to W&B, beside its trials; offline where these are."""
    mode = search.options.wandb
    if search.launched and environment.wandb_mode(mode) == "auto":
        mode = "offline"
    log_search(search.file, mode)


def _describe(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state.name,
        "values": trial.values,
        "params": trial.params,
        "intermediate": trial.intermediate_values,
        "retry_of": first_try(trial),
        **{name: value for name, value in trial.user_attrs.items() if name != WORKER},
    }


def show_params(params: dict[str, Any]) -> str:
    """Hyper-parameters on one line."""
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in params.items()
    )
