"""Study files back as Optuna studies, for its figures and importances."""

import warnings
from collections import Counter
from typing import Any

import optuna
from optuna.distributions import json_to_distribution
from optuna.trial import TrialState, create_trial


def to_study(record: dict[str, Any]) -> optuna.Study:
    """The recorded trials as a study in memory."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=record["directions"])
    space = {name: json_to_distribution(text) for name, text in record["space"].items()}
    for trial in record["trials"]:
        state = TrialState[trial["state"]]
        if state in (TrialState.COMPLETE, TrialState.PRUNED) and trial["values"]:
            study.add_trial(
                create_trial(
                    state=state,
                    values=trial["values"],
                    params=trial["params"],
                    distributions={name: space[name] for name in trial["params"]},
                    intermediate_values={int(k): v for k, v in trial["intermediate"].items()},
                )
            )
    return study


def completed(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The trials that ran to their end."""
    return [trial for trial in record["trials"] if trial["state"] == "COMPLETE"]


def trial_counts(record: dict[str, Any]) -> dict[str, int]:
    """Number of trials by state, in words."""
    return dict(Counter(trial["state"].lower() for trial in record["trials"]).most_common())


def default_value(record: dict[str, Any]) -> float | None:
    """The first objective of the trial that ran the model's defaults, if it was completed."""
    for trial in record["trials"]:
        if trial.get("defaults") and trial["state"] == "COMPLETE":
            return float(trial["values"][0])
    return None


def importances(record: dict[str, Any]) -> dict[str, float]:
    """Share of each hyper-parameter in the first objective, largest first (PED-ANOVA).

    Watanabe et al. 2023 (arXiv:2304.10255); empty where too few trials were completed to tell.
    """
    if len(completed(record)) < 4:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = to_study(record)
        return optuna.importance.get_param_importances(
            study, target=None if len(record["directions"]) == 1 else lambda trial: trial.values[0]
        )
