"""What searches tried, gained and found to matter."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.visualization import matplotlib as optuna_plots

from genbench.report.group import Group, Study, family_title
from genbench.report.part import Content, Drawing, Part
from genbench.report.studies import completed, default_value, importances, to_study, trial_counts


def search(part: Part) -> Iterator[Content]:
    """Of each family its study, and the last one of two objectives."""
    figures: list[Drawing] = []
    said: list[str | None] = []
    for group in part.leading:
        if study := shown(part, group, objectives=1):
            figures += _figures(group.model, study)
            said.append(about_search(group, study) if study.get("best") is not None else None)
        pareto = shown(part, group, objectives=2)
        if pareto and completed(pareto):
            title, names = family_title(group.model), " against ".join(pareto["objectives"])
            caption = f"{title}: {names}; red: no trial is better in both."
            draw = partial(pareto_front, pareto)
            figures.append(Drawing(f"{group.model}_pareto_front", caption, draw, group.model))
    yield Content("Search", said, figures=figures)


def shown(part: Part, group: Group, objectives: int) -> Study | None:
    """The family's last study with so many objectives; better one that chose its runs."""
    own = [study for study in part.studies if study["model"] == group.model]
    alike = [study for study in own if len(study["objectives"]) == objectives]
    chose = [study for study in alike if study is group.chosen_by]
    return (alike + chose)[-1] if alike else None


def _figures(model: str, study: Study) -> Iterator[Drawing]:
    """What Optuna draws of a study with one objective."""
    title, metric = family_title(model), study["objectives"][0]
    if completed(study):
        caption = f"{title}: {metric} of each completed trial, and the best so far."
        draw = _optuna(optuna_plots.plot_optimization_history, study, (6, 3))
        yield Drawing(f"{model}_search_history", caption, draw, model)
    if importances(study):
        caption = f"{title}: importance of each hyper-parameter for {metric} (PED-ANOVA)."
        draw = _optuna(optuna_plots.plot_param_importances, study, (6, 3))
        yield Drawing(f"{model}_search_importances", caption, draw, model)
    if len(completed(study)) > 1:
        caption = f"{title}: the completed trials, a line each, coloured by {metric}."
        draw = _optuna(optuna_plots.plot_parallel_coordinate, study, (11, 4))
        yield Drawing(f"{model}_search_parallel", caption, draw, model)


def about_search(group: Group, study: Study) -> str:
    """What the search tried, what it gained, and what mattered."""
    metric, trials = study["objectives"][0], study["trials"]
    scalar = group.scalar(metric)
    (best,) = (trial["values"][0] for trial in trials if trial["number"] == study["best"])
    states = ", ".join(f"{n} {state}" for state, n in trial_counts(study).items())
    text = (
        f"The {family_title(group.model)}'s search ran {len(trials)} trials ({states}) of "
        f"{study['epochs']} epochs; the best {metric} was {scalar.show(best)}"
    )
    default = default_value(study)
    if default is not None:
        unit = f" {scalar.unit}" if scalar.unit else ""
        gain = f"{scalar.show(abs(best - default))}{unit} better than the defaults"
        text += f", {gain}" if best != default else ", that of the defaults"
    (first, most), *others = list(importances(study).items()) or [("", 0.0)]
    if first:
        text += f". What mattered most was {first} (importance {most:.2f}"
        text += f", next {others[0][0]} with {others[0][1]:.2f})" if others else ")"
    return f"{text}."


def _optuna(plot: Callable[..., Any], study: Study, size: tuple[float, float]) -> Any:
    """What draws one of Optuna's matplotlib figures of a recorded study."""
    metric = study["objectives"][0]
    return lambda: _sized(plot(to_study(study), target_name=metric), size)


def pareto_front(study: Study) -> Figure:
    """Optuna's Pareto front of a study with two objectives."""
    axes = optuna_plots.plot_pareto_front(to_study(study), target_names=study["objectives"])
    return _sized(axes, (6, 3.6))


def _sized(axes: Axes, size: tuple[float, float]) -> Figure:
    """The axes' figure in this size, without Optuna's title: the caption says it."""
    axes.set_title("")
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_size_inches(*size)
    return figure
