"""What searches found, of any model: figures of their studies, and a sentence."""

from collections.abc import Callable
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.visualization import matplotlib as optuna_plots

from genbench.report.drawing import Plan
from genbench.report.studies import completed, default_value, importances, to_study, trial_counts

Study = dict[str, Any]  # a file of runs/studies


def plan_search(model: str, title: str, study: Study | None, pareto: Study | None) -> Plan:
    """The figures of a model's studies: of one objective, and of two."""
    metric = study["objectives"][0] if study else ""
    if study and completed(study):
        yield (
            f"{model}_search_history",
            "Search",
            f"{title}: {metric} of each completed trial, and the best so far.",
            partial(optuna_figure, optuna_plots.plot_optimization_history, study, (6, 3), metric),
        )
    if study and importances(study):
        yield (
            f"{model}_search_importances",
            "Search",
            f"{title}: importance of each hyper-parameter for {metric} (PED-ANOVA).",
            partial(optuna_figure, optuna_plots.plot_param_importances, study, (6, 3), metric),
        )
    if study and len(completed(study)) > 1:
        yield (
            f"{model}_search_parallel",
            "Search",
            f"{title}: the completed trials, a line each, coloured by {metric}.",
            partial(optuna_figure, optuna_plots.plot_parallel_coordinate, study, (11, 4), metric),
        )
    if pareto and completed(pareto):
        names = pareto["objectives"]
        yield (
            f"{model}_pareto_front",
            "Search",
            f"{title}: {names[0]} against {names[1]}; red: no trial is better in both.",
            partial(pareto_front, pareto),
        )


def about_search(title: str, study: Study | None, unit: str = "") -> str | None:
    """What the search tried, what it gained, and what mattered."""
    if not study or study.get("best") is None:
        return None
    counts = ", ".join(f"{n} {state}" for state, n in trial_counts(study).items())
    (best,) = (trial["values"][0] for trial in study["trials"] if trial["number"] == study["best"])
    digits = 2 if unit else 4
    text = (
        f"The {title}'s search ran {len(study['trials'])} trials ({counts}) "
        f"of {study['epochs']} epochs; the best {study['objectives'][0]} was {best:.{digits}f}"
    )
    default = default_value(study)
    if default is not None:
        gain = abs(best - default)
        better = f", {gain:.{digits}f}{unit} better than the defaults"
        text += better if gain else ", that of the defaults"
    ranked = list(importances(study).items())
    if ranked:
        text += ". What mattered most was {} (importance {:.2f}".format(*ranked[0])
        text += ", next {} with {:.2f})".format(*ranked[1]) if ranked[1:] else ")"
    return text + "."


def optuna_figure(
    plot: Callable[..., Any], record: dict[str, Any], size: tuple[float, float], metric: str
) -> Figure:
    """One of Optuna's matplotlib figures of a recorded study."""
    axes = plot(to_study(record), target_name=metric)
    return _sized(axes, size)


def pareto_front(record: dict[str, Any]) -> Figure:
    """Optuna's Pareto front of a study with two objectives."""
    names = record["objectives"]
    return _sized(optuna_plots.plot_pareto_front(to_study(record), target_names=names), (6, 3.6))


def _sized(axes: Axes, size: tuple[float, float]) -> Figure:
    """The axes' figure in this size, without Optuna's title: the caption says it."""
    axes.set_title("")
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_size_inches(*size)
    return figure
