"""Curves over epochs: losses, and how far samples are from real pictures."""

import math
import statistics
from collections.abc import Iterator
from functools import partial

from matplotlib.figure import Figure

from genbench.metrics.names import ScoreName
from genbench.metrics.stability import CHANCE
from genbench.metrics.table import RANKED_BY
from genbench.record.reading import WHERE
from genbench.report.comparison import above, compared
from genbench.report.drawing import COLOURS, SEEDS, Clock, Line, Panel, alt_of, curves
from genbench.report.group import Group, sample_scores
from genbench.report.part import Content, Drawing, Part, each
from genbench.stats import Claims, share

FIRST, SECOND = COLOURS[:2]  # of two lines in a panel
TERMS = ("loss", "reconstruction", "kl")  # a loss and what it is the sum of
LATE = 0.9  # a best epoch in the last tenth of a training says that it was short
MEASURES = {  # logged while training, beside scores of samples
    "histogram_kl": "KL of colour histograms (nats)",
    "js_bound": "Jensen-Shannon, lower bound (nats)",
}
BOUND = (
    "Jensen-Shannon: what the discriminator proves (dots: on validation pictures, lines: on "
    "training pictures, which it may know by heart; at most log 2, dashed; below 0 it proves "
    "nothing)."
)
GAIN = 0.05  # a validation score that fell by this share was still falling


def losses(part: Part) -> Iterator[Content]:
    """Of two networks against each other both losses, a panel a group; else a figure a group."""
    two = [group for group in part.groups if group.logs("train", "loss_d")]
    figures = []
    if two:
        panels = []
        for group in two:
            d = Line(group, "train", "loss_d", FIRST, "discriminator")
            g = Line(group, "train", "loss_g", SECOND, "generator")
            panels.append(Panel(group.title, [d, g], f"loss ({group.config.get('loss')})"))
        caption = f"Training losses of discriminator and generator. {SEEDS}."
        draw, alt = partial(curves, panels, 2, part.clock), alt_of(panels)
        figures = [Drawing("losses_disc_gene", caption, draw, two[0].model, alt=alt)]
    others = [group for group in part.groups if group not in two and _panels(group)]
    caption = f"{{group.title}}: training (running means) and validation. {SEEDS}."
    draw_one = partial(_train_and_val, part.clock)
    seen = lambda group: alt_of(_panels(group))  # noqa: E731
    figures += each(others, "{group.model}_loss", caption, draw_one, alt=seen)
    said = [about_bound(group, part.split) for group in part.groups]
    said += map(about_training, part.groups)
    yield Content("Losses", said, figures=figures)


def _terms(group: Group) -> list[str]:
    """The scalars to draw: the loss and its terms, else the first three that both splits have."""
    names = [name for name in TERMS if group.logs("val", name)]
    if names == ["loss", "reconstruction"]:
        return names[1:]  # the same number
    rows = (row for run in group.runs for row in run.metrics() if row["split"] == "val")
    known = dict.fromkeys(name for row in rows for name in row)
    both = [name for name in known if name not in WHERE]
    return names or [name for name in both if group.logs("train", name)][:3]


def _train_and_val(clock: Clock | None, group: Group) -> Figure:
    return curves(_panels(group), 2, clock)


def _panels(group: Group) -> list[Panel]:
    """One a term, of those with a curve."""
    panels = []
    for name in _terms(group):
        train = Line(group, "train", name, FIRST, "training")
        val = Line(group, "val", name, SECOND, "validation", "o")
        scalar = group.scalar(name)
        panels.append(Panel(f"{group.title}: {scalar.title}", [train, val], scalar.unit))
    return [panel for panel in panels if panel.is_curve]


def about_bound(group: Group, split: str) -> str | None:
    """The bound on the likelihood of a split and its two parts."""
    names = ("elbo", "reconstruction", "kl")
    elbo, reconstruction, kl = (group.score(f"{split}/{name}") for name in names)
    if not elbo or not reconstruction or not kl:
        return None
    return (
        f"The {group.named}'s ELBO is {elbo.show(2)} nats an image: {reconstruction.mean:.2f} for "
        f"the reconstruction and {kl.mean:.2f} of KL."
    )


def about_training(group: Group) -> str | None:
    """Whether training was long enough, too long, or over-fitted."""
    name = group.about["objective"].removeprefix("val/")
    sign = -1 if group.about["direction"] == "maximize" else 1
    ends = [(run.last_epoch("train", name), run.last_epoch("val", name)) for run in group.runs]
    gaps = [sign * (val - train) for train, val in ends if train is not None and val is not None]
    best, epochs = group.score("best_epoch"), group.score("epochs")  # time may have ended it
    averaged = group.config.get("ema")  # validation is of the average, training of the live weights
    if not best or not epochs or not gaps or averaged or not all(map(math.isfinite, gaps)):
        return None
    scalar, gap = group.scalar(name), statistics.fmean(gaps)
    unit = f" {scalar.unit}" if scalar.unit else ""
    verdict = "more epochs may help" if best.mean > LATE * epochs.mean else "the epochs were enough"
    return (
        f"Over its last epoch the {group.named}'s validation {name} is {scalar.show(abs(gap))}"
        f"{unit} {'worse' if gap > 0 else 'better'} than its training mean; its best epoch was "
        f"{best.mean:.0f} of {epochs.mean:.0f}: {verdict}."
    )


def distances(part: Part) -> Iterator[Content]:
    """Whose samples are nearer to real pictures, how far from the floor, and curves of that."""
    groups = part.groups
    names = [name for name in part.sample_scores(part.split) if name.scalar.better]
    names.sort(key=lambda name: name.metric != RANKED_BY)
    said = [nearer(part.claims, a, b, name) for a, b in part.comparisons for name in names]
    said += [above_floor(group, name) for group in part.leading for name in names]
    said += [about_length(group) for group in groups]
    figures = []
    if panels := _distance_panels(groups):
        model = part.leading[0].model
        bound = f" {BOUND}" if any(group.logs("train", "js_bound") for group in groups) else ""
        caption = f"How far samples are from real pictures, while training.{bound} {SEEDS}."
        if any(name for panel in panels for name, _ in panel.levels):
            caption += " Dashed: the floor, how far other real pictures are."
        draw, alt = partial(curves, panels, 2, part.clock), alt_of(panels)
        figures = [Drawing(f"{model}_divergence", caption, draw, model, alt=alt)]
    yield Content("Distances", said, figures=figures)


def nearer(claims: Claims, a: Group, b: Group, name: ScoreName) -> str | None:
    """Whose samples are nearer to real pictures, or better by what else the score measures."""
    claim = f"comes nearer to the {name.reals} by {name.title}"
    subject = f"{name.title} to the {name.reals}"
    if name.scalar.better == "maximize":
        claim = f"has the higher {name.title} against {name.reals}"
        subject = f"{name.title} against {name.reals}"
    return compared(claims, a, b, str(name), claim, subject, ratio=True)


def above_floor(group: Group, name: ScoreName) -> str | None:
    """How far samples are from real pictures, measured by how far those are from each other."""
    score, floor = group.score(str(name)), group.score(str(name.as_floor))
    if not score or not floor or name.scalar.better != "minimize":
        return None
    if not math.isfinite(score.mean):
        return f"By {name.title}, the samples of the {group.named} cannot be scored: {score.mean}."
    digits = name.scalar.digits
    numbers = f"{score.show_interval(digits)} against {floor.mean:.{digits}f}"
    where = f"By {name.title}, the samples of the {group.named} are"
    sure = above(group, str(name), floor.mean)
    equal = name.scalar.show(score.mean) == name.scalar.show(floor.mean)
    if score.mean < floor.mean or equal or sure is False:
        where += " not shown to be"
        return f"{where} farther from {name.reals} than other real ones are: {numbers}."
    by_chance = name.metric == "kid" or floor.mean <= 0  # KID's floor is 0 but for chance
    ratio = "" if by_chance else f", {score.mean / floor.mean:.1f} times the floor"
    basis = f"95 % interval over {score.n} seeds" if sure else "a single seed: not proven"
    return (
        f"{where} farther from {name.reals} than other real ones are: {numbers}{ratio} ({basis})."
    )


def about_length(group: Group) -> str | None:
    """Whether the score that chooses epochs still fell in the last third, if it is of samples."""
    name, gains = ScoreName.parse(group.about["objective"]), []
    for run in group.runs if name.is_sample_score else []:
        scores = run.curve("val", group.about["objective"].removeprefix("val/"))[1]
        if third := len(scores) // 3:
            before, last = map(statistics.fmean, (scores[-2 * third : -third], scores[-third:]))
            gains += [(before - last) / before] if before > CHANCE else []
    if not gains:
        return None
    falls, mean = [gain > GAIN for gain in gains], statistics.fmean(gains)
    text = (
        f"In the last third of its training the validation {name.scalar.title} of the "
        f"{group.named} {'fell' if mean > 0 else 'rose'} by {abs(mean):.0%}"
    )
    if all(falls):
        return f"{text}: longer training may help."
    if any(falls):
        return f"{text} on average, in {share(falls)} trainings by more than {GAIN:.0%}."
    return f"{text}: longer training alone promises little."


def _distance_panels(groups: list[Group]) -> list[Panel]:
    """Colours, the discriminator's bound, then scores of samples, as far as they were logged."""
    rows = (row for group in groups for run in group.ended for row in run.metrics())
    names = {name for row in rows if row["split"] == "val" for name in row}
    titles = {name: title for name, title in MEASURES.items() if name in names}
    panels = []
    for name, title in (titles | {str(n): n.title for n in sample_scores(names)}).items():
        bound = name == "js_bound"
        lines = [Line(g, "train", name, c) for g, c in zip(groups, COLOURS, strict=False) if bound]
        for group, colour in zip(groups, COLOURS, strict=False):
            lines.append(Line(group, "val", name, colour, group.title, "o", dots=bound))
        values = [v for g in groups for run in g.ended for v in run.curve("val", name)[1]]
        low = min([0.0, *filter(math.isfinite, values)])  # KID may fall below 0
        levels = (("", math.log(2)),) if bound else _floors(groups, name)
        low = min([low, *(level for _, level in levels)])
        limits = (-0.2, 0.75) if bound else (low, None)
        panels.append(Panel(title, lines, limits=limits, levels=levels))
    return [panel for panel in panels if panel.is_curve]


def _floors(groups: list[Group], name: str) -> tuple[tuple[str, float], ...]:
    """The floor of a score: at its N, else of KID, which does not depend on N, any other's."""
    score = ScoreName.parse(f"val/{name}")
    if not score.is_sample_score:
        return ()
    known = {key: v for g in groups for run in g.runs for key, v in run.scores.items()}
    for key in sorted(known, reverse=True):
        floor = ScoreName.parse(key)
        alike = floor.floor and (floor.metric, floor.extractor) == (score.metric, score.extractor)
        if alike and (floor.n == score.n or score.metric == RANKED_BY):
            return (("floor", known[key]),)
    return ()
