"""What searches tried, gained and found to matter, from their study files."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from matplotlib.figure import Figure

from genbench.console import counted, listed, say_once
from genbench.metrics.table import RANKED_BY
from genbench.record import Study
from genbench.report import trials
from genbench.report.group import Group, family_title
from genbench.report.part import Content, Drawing, Part
from genbench.report.trials import completed, explained
from genbench.stats import difference, show_ends

ENOUGH = 20  # completed trials without which nothing is said of what mattered
PLOTS: tuple[tuple[str, Callable[[Study], Figure], str], ...] = (
    ("history", trials.history, "each completed trial, and the best so far"),
    ("slices", trials.slices, "each completed trial over each hyper-parameter"),
    ("parallel", trials.parallel, "a line a completed trial, the better the darker"),
)


def search(part: Part) -> Iterator[Content]:
    """Of each family its study, and the last one of two objectives."""
    figures: list[Drawing] = []
    said: list[str | None] = []
    for group in part.leading:
        model, title = group.model, family_title(group.model)
        if study := shown(part, group, objectives=1):
            (metric,) = study["objectives"]
            n = len(completed(study))
            for name, plot, text in PLOTS if n > 1 else ():
                cut = ", the worst tenth beyond the frame" * (n > trials.FEW and name != "parallel")
                caption = f"{title}: {metric} in its search; {text} (n = {n}{cut})."
                draw, alt = partial(plot, study), trials.seen(study)
                figures.append(Drawing(f"{model}_search_{name}", caption, draw, model, alt=alt))
            said.append(about_gain(part, study))
            said.append(about_search(group, study) if study.get("best") is not None else None)
        pareto = shown(part, group, objectives=2)
        if pareto and len(completed(pareto)) > 1:
            names = pareto["objectives"]
            caption = f"{title}: {' against '.join(names)}; red: no trial is better in both."
            draw = partial(trials.front, pareto)
            figures.append(Drawing(f"{model}_pareto_front", caption, draw, model))
    yield Content("Search", said, figures=figures)


def shown(part: Part, group: Group, objectives: int) -> Study | None:
    """The family's last study with so many objectives; better one that chose its runs."""
    own = [study for study in part.studies if study["model"] == group.model]
    alike = [study for study in own if len(study["objectives"]) == objectives]
    return (alike + [study for study in alike if study is group.chosen_by])[-1] if alike else None


def about_search(group: Group, study: Study) -> str:
    """What the search tried, what it gained, and what mattered."""
    metric = study["objectives"][0]
    scalar, done = group.scalar(metric), completed(study)
    values = {trial["number"]: trial["values"][0] for trial in done if trial["values"]}
    best = values[study["best"]] if study["best"] is not None else math.nan
    twice = {int(n): value for n, value in study.get("again", {}).items()}
    states = Counter(trial["state"].lower() for trial in study["trials"]).most_common()
    text = (
        f"The {family_title(group.model)}'s search ran {counted(len(study['trials']), 'trial')} "
        f"({', '.join(f'{n} {state}' for state, n in states)}) of "
        f"{counted(study['epochs'], 'epoch')}; "
        f"the best {metric} was {scalar.show(best)}"
    )
    if study["best"] in twice:
        text += f", {scalar.show(twice[study['best']])} with another seed counted in: of the "
        text += f"{len(twice)} best that were trained again the best mean"
    for default in [values[t["number"]] for t in done if t.get("defaults") and not twice][:1]:
        unit = f" {scalar.unit}" if scalar.unit else ""
        gain = f"{scalar.show(abs(best - default))}{unit} better than the defaults"
        chosen = " (the best of all, by what it was chosen by)"
        text += f", {gain}{chosen}" if best != default else ", that of the defaults"
    shares = {name: share for name, share in explained(study).items() if share > 0}
    mattered = [f"{name} explains {share:.0%}" for name, share in shares.items()]
    if len(done) < ENOUGH or not mattered:
        return f"{text}."
    return (
        f"{text}. Of the ranks of {metric} among its {len(done)} completed trials "
        f"{listed(mattered[:2])} (quarters of the values; Kelley's epsilon squared)."
    )


def about_gain(part: Part, study: Study) -> str | None:
    """By how much the winner beat the defaults on seeds that chose nothing, with its interval."""
    winner, rival = part.finals.get(study["name"], (None, None))
    if not winner or not rival or rival is winner:
        return None
    kids = [name for name in part.sample_scores(part.split) if name.metric == RANKED_BY]
    metric = study["objectives"][0].removeprefix("val/")
    name = str(kids[0]) if kids else f"{part.split}/{metric}"
    ours, theirs = winner.score(name), rival.score(name)
    if not ours or not theirs:
        return None
    scalar = winner.scalar(name)
    gap, interval = difference(ours, theirs, scalar.is_distance)
    ends = show_ends(interval, scalar.digits)
    test = part.claims.compare(ours, theirs, scalar.is_distance)
    gained = (scalar.sign or -1) * gap > 0
    verdict = "no difference that could be shown"
    if test.differ:
        verdict = "a gain" if gained else "a loss"
    return (
        f"On new seeds the search's winner has {scalar.title} {ours.show(scalar.digits)}, the "
        f"defaults {theirs.show(scalar.digits)}: {gap:+.{scalar.digits}f}{ends}, {verdict} "
        f"({test.basis})."
    )


def is_whole(record: Study) -> bool:
    """Whether its trials lie in its space; else a line says why they are passed over."""
    if why := trials.contradiction(record):
        say_once(f"studies/{record['name']}.json: {why}; passed over")
    return not why
