"""What searches tried, gained and found to matter, from their study files."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import optuna
from matplotlib.figure import Figure
from optuna.distributions import json_to_distribution
from optuna.trial import TrialState, create_trial
from optuna.visualization import matplotlib as optuna_plots

from genbench.console import first_line, say_once
from genbench.metrics.table import RANKED_BY
from genbench.record import Study
from genbench.record.shapes import Trial
from genbench.report.group import Group, family_title
from genbench.report.part import Content, Drawing, Part
from genbench.stats import difference, show_ends

ENOUGH = 4  # completed trials without which importances tell nothing
PLOTS: tuple[tuple[str, Callable[..., Any], tuple[float, float], int, str], ...] = (
    # file, what Optuna draws, its size in inches, completed trials that it needs, caption
    ("history", optuna_plots.plot_optimization_history, (6, 3), 1, "each trial, the best so far"),
    ("importances", optuna_plots.plot_param_importances, (6, 3), ENOUGH, "importance (PED-ANOVA)"),
    ("parallel", optuna_plots.plot_parallel_coordinate, (11, 4), 2, "a line each completed trial"),
)


def search(part: Part) -> Iterator[Content]:
    """Of each family its study, and the last one of two objectives."""
    figures: list[Drawing] = []
    said: list[str | None] = []
    for group in part.leading:
        model, title = group.model, family_title(group.model)
        if study := shown(part, group, objectives=1):
            (metric,) = study["objectives"]
            for name, plot, size, least, text in PLOTS:
                if len(_completed(study)) >= least:
                    draw = partial(_figure, plot, study, size, target_name=metric)
                    caption = f"{title}: {metric} in its search; {text}."
                    figures.append(Drawing(f"{model}_search_{name}", caption, draw, model))
            said.append(about_search(group, study) if study.get("best") is not None else None)
            said.append(about_gain(part, group, study))
        pareto = shown(part, group, objectives=2)
        if pareto and _completed(pareto):
            names = pareto["objectives"]
            caption = f"{title}: {' against '.join(names)}; red: no trial is better in both."
            plot = optuna_plots.plot_pareto_front
            draw = partial(_figure, plot, pareto, (6, 3.6), target_names=names)
            figures.append(Drawing(f"{model}_pareto_front", caption, draw, model))
    yield Content("Search", said, figures=figures)


def shown(part: Part, group: Group, objectives: int) -> Study | None:
    """The family's last study with so many objectives; better one that chose its runs."""
    own = [study for study in part.studies if study["model"] == group.model]
    alike = [study for study in own if len(study["objectives"]) == objectives]
    return (alike + [study for study in alike if study is group.chosen_by])[-1] if alike else None


def about_search(group: Group, study: Study) -> str:
    """What the search tried, what it gained, and what mattered."""
    metric, trials = study["objectives"][0], study["trials"]
    scalar, done = group.scalar(metric), _completed(study)
    values = {trial["number"]: trial["values"][0] for trial in done if trial["values"]}
    best = values[study["best"]] if study["best"] is not None else math.nan
    twice = {int(n): value for n, value in study.get("again", {}).items()}
    states = Counter(trial["state"].lower() for trial in trials).most_common()
    text = (
        f"The {family_title(group.model)}'s search ran {len(trials)} trials "
        f"({', '.join(f'{n} {state}' for state, n in states)}) of {study['epochs']} epochs; "
        f"the best {metric} was {scalar.show(best)}"
    )
    if study["best"] in twice:
        text += f", {scalar.show(twice[study['best']])} with another seed counted in: of the "
        text += f"{len(twice)} best that were trained again the best mean"
    for default in [values[t["number"]] for t in done if t.get("defaults") and not twice][:1]:
        unit = f" {scalar.unit}" if scalar.unit else ""
        gain = f"{scalar.show(abs(best - default))}{unit} better than the defaults"
        text += f", {gain}" if best != default else ", that of the defaults"
    ranked = [f"{name} (importance {share:.2f})" for name, share in importances(study).items()]
    return text + (f". What mattered most was {', next '.join(ranked[:2])}." if ranked else ".")


def about_gain(part: Part, group: Group, study: Study) -> str | None:
    """By how much the winner beat the defaults on seeds that chose nothing, with its interval."""
    rival = part.defaults.get(study["name"])
    if group.chosen_by is not study or not rival or rival is group:
        return None
    kids = [name for name in part.sample_scores(part.split) if name.metric == RANKED_BY]
    metric = study["objectives"][0].removeprefix("val/")
    name = str(kids[0]) if kids else f"{part.split}/{metric}"
    ours, theirs = group.score(name), rival.score(name)
    if not ours or not theirs:
        return None
    scalar = group.scalar(name)
    gap, interval = difference(ours, theirs)
    ends = show_ends(interval, scalar.digits) or " (a single seed)"
    sure = interval and (interval[0] > 0 or interval[1] < 0)
    gained = (scalar.sign or -1) * gap > 0
    verdict = ("a gain" if gained else "a loss") if sure else "no difference that could be shown"
    return (
        f"On new seeds the search's winner has {scalar.title} {ours.show(scalar.digits)}, the "
        f"defaults {theirs.show(scalar.digits)}: {gap:+.{scalar.digits}f}{ends}, {verdict}."
    )


def to_study(record: Study) -> optuna.Study:
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


def is_whole(record: Study) -> bool:
    """Whether Optuna takes its trials; else a line says why they are passed over."""
    try:
        to_study(record)
    except Exception as error:  # Optuna's, whatever it is
        say_once(f"studies/{record['name']}.json: {first_line(error)}; passed over")
        return False
    return True


def importances(record: Study) -> dict[str, float]:
    """Share of each hyper-parameter in the objective, largest first (PED-ANOVA).

    Watanabe et al. 2023 (arXiv:2304.10255); empty where too few trials were completed to tell.
    """
    if len(_completed(record)) < ENOUGH:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.importance.get_param_importances(to_study(record))


def _completed(study: Study) -> list[Trial]:
    return [trial for trial in study["trials"] if trial["state"] == "COMPLETE"]


def _figure(
    plot: Callable[..., Any], study: Study, size: tuple[float, float], **names: Any
) -> Figure:
    """One of Optuna's matplotlib figures, without its title: the caption says it."""
    axes = plot(to_study(study), **names)
    axes.set_title("")
    figure: Figure = axes.get_figure(root=True)
    figure.set_size_inches(*size)
    return figure
