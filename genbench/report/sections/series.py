"""Runs that share a name given by --group: a column a configuration, by what varies in it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genbench.families import FAMILIES
from genbench.metrics.names import ScoreName
from genbench.metrics.table import RANKED_BY
from genbench.report.drawing import COLOURS, INK
from genbench.report.group import Group, family_title, field_roles
from genbench.report.part import Content, Drawing, Part, in_order
from genbench.report.sections.codes import clouds, planes
from genbench.report.sections.scores import (
    CLAIMS,
    as_row,
    claimed,
    row,
    settings,
    shown_distances,
    shown_scalars,
    text_of,
)
from genbench.scalars import Scalar

FEWEST = 3  # values of a field that make a curve
PANELS = 3
PLANE = 2  # numbers of a code that is drawn without a projection
RATE, DISTORTION = "kl", "reconstruction"


def series(part: Part) -> Iterator[Content]:
    """Of each name a table, what it says, and over a number that varies curves of the scores."""
    for name, found in part.series.items():
        fields = varied(found)
        groups = sorted(found, key=lambda group: _place(group, fields))
        inside = replace(part, groups=groups)
        table = [["", *(title_of(group, fields) for group in groups)]]
        table += [["Training seeds", *(str(len(group.runs)) for group in groups)]]
        scores = _scores(inside)
        table += [row(groups, score, scalar) for score, scalar in scores.items()]
        models = {group.model for group in groups}
        said = claimed(inside) if len(models) == len(groups) else _best(inside, fields, scores)
        told = [sentence and _within(name, sentence) for sentence in said]
        first = {group.model: group for group in reversed(groups)}
        told_of = [f"{family_title(m)}: {settings(first[m], (), fields)}" for m in in_order(first)]
        notes = [f"Trained with, beside the defaults: {'; '.join(told_of)}."]
        figures = _figures(name, inside, fields) + _flat(name, inside)
        yield Content(f"Experiment: {name}", told, table, notes, figures)


def _within(name: str, sentence: str) -> str:
    """A sentence that is true of the experiment, and need not be of what the part shows."""
    first = sentence[0] if sentence[:2].isupper() else sentence[0].lower()
    return f"{name[0].upper()}{name[1:]}: {first}{sentence[1:]}"


def varied(groups: Sequence[Group]) -> list[str]:
    """The fields that change weights in which the configurations differ, the model aside."""
    keyed = [n for group in groups for n, role in field_roles(group.model).items() if role.key]
    values = {n: {str(group.config.get(n)) for group in groups if n in group.config} for n in keyed}
    return [name for name, known in values.items() if len(known) > 1]


def _place(group: Group, fields: Sequence[str]) -> tuple[Any, ...]:
    """What orders configurations: the family, then the fields, numbers before words."""
    values = [group.config.get(field, 0) for field in fields]
    kinds = [(isinstance(value, str), value) for value in values]
    return in_order([group.model, *FAMILIES]).index(group.model), *kinds


def title_of(group: Group, fields: Sequence[str]) -> str:
    """`VAE, beta = 4`."""
    own = [f"{f} = {text_of(group.config[f])}" for f in fields if f in group.config]
    return ", ".join([family_title(group.model), *own])


def _scores(part: Part) -> dict[str, Scalar]:
    """What the configurations are compared by: names as in records, those that any has."""
    names = {f"{part.split}/{name}": scalar for name, scalar in shown_scalars(part).items()}
    names |= {str(score): as_row(score) for score in shown_distances(part)}
    return {name: scalar for name, scalar in names.items() if row(part.groups, name, scalar)}


def is_claimed(name: str) -> bool:
    """Whether a score is one by which models are said to be better."""
    return ScoreName.parse(name).metric in (*CLAIMS, RANKED_BY)


def _best(part: Part, fields: list[str], scores: dict[str, Scalar]) -> Iterator[str]:
    """Of each directed score where it is best, and whether the next one could be told from it."""
    groups = part.groups
    if not fields or len({group.model for group in groups}) > 1:
        return
    for name, scalar in scores.items():
        known = [(group, sample) for group in groups if (sample := group.score(name))]
        if not is_claimed(name) or len(known) < 2:
            continue
        known.sort(key=lambda pair: -scalar.sign * pair[1].mean)
        (best, most), (second, next_) = known[:2]
        here, there = (title_of(group, fields).partition(", ")[2] for group in (best, second))
        test = part.claims.compare(most, next_, scalar.is_distance)
        yield (
            f"{scalar.title} is best at {here}, {most.show(scalar.digits)}; that it is better than "
            f"at {there}, {next_.show(scalar.digits)}, is {'clear' if test.differ else 'not shown'}"
            f" ({test.basis})."
        )


def _figures(name: str, part: Part, fields: list[str]) -> list[Drawing]:
    """Scores over the one number that varies, and the rate-distortion plane."""
    if len(fields) != 1:
        return []
    (field,) = fields
    values = {group.config.get(field) for group in part.groups}
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if not numbers or len(values) < FEWEST:
        return []
    shown = [pair for pair in _scores(part).items() if is_claimed(pair[0])][:PANELS]
    word = _word(name)
    caption = f"Scores over {field}: mean and standard deviation over seeds"
    curves = Drawing(f"series-{word}", caption, partial(_over, part.groups, field, shown))
    drawings = [curves] if shown else []
    plane = [f"{part.split}/{RATE}", f"{part.split}/{DISTORTION}"]
    if all(group.score(score) for group in part.groups for score in plane):
        caption = f"Rate and distortion by {field}, nats an image, of held-out pictures"
        draw = partial(_plane, part.groups, field, plane)
        drawings.append(Drawing(f"rate-distortion-{word}", caption, draw))
    return drawings


def _flat(name: str, part: Part) -> list[Drawing]:
    """Codes of two numbers, which are seen as they are, and what they decode to."""
    flat = replace(part, groups=[g for g in part.groups if g.config.get("latent_dim") == PLANE])
    drawings = clouds(flat) + planes(flat)
    return [replace(drawing, name=f"{drawing.name}-{_word(name)}") for drawing in drawings]


def _word(name: str) -> str:
    """A name as a part of a file's."""
    return "".join(c if c.isalnum() else "-" for c in name)


def _over(groups: list[Group], field: str, scores: list[tuple[str, Scalar]]) -> Figure:
    """A panel a score: a line a family over the field's values."""
    figure, grid = plt.subplots(
        1, len(scores), figsize=(3.6 * len(scores), 2.7), squeeze=False, layout="constrained"
    )
    for ax, (name, scalar) in zip(grid[0], scores, strict=True):
        for colour, model in zip(COLOURS, dict.fromkeys(g.model for g in groups), strict=False):
            if own := [g for g in groups if g.model == model and g.score(name)]:
                _points(ax, own, field, name, colour)
        ax.set(title=scalar.heading, xlabel=field)
        _scale(ax, [float(group.config[field]) for group in groups])
    return figure


def _points(ax: Axes, groups: list[Group], field: str, name: str, colour: str) -> None:
    """A family's means, in the order of the field's values, with their deviations."""
    known = [(float(g.config[field]), g.score(name)) for g in groups]
    points = sorted((x, s.mean, s.std or 0.0) for x, s in known if s)
    x, y, error = zip(*points, strict=True)
    ax.errorbar(x, y, error, color=colour, marker="o", ms=4, capsize=2)
    ax.annotate(
        family_title(groups[0].model), (x[-1], y[-1]), color=colour, fontsize=8, xytext=(4, 4),
        textcoords="offset points",
    )  # fmt: skip


def _scale(ax: Axes, values: list[float]) -> None:
    """A logarithmic axis where values are positive and span a factor of ten or so."""
    if min(values) > 0 and max(values) >= 8 * min(values):
        ax.set_xscale("log")
        ticks = sorted(set(values))
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()


def _plane(groups: list[Group], field: str, scores: list[str]) -> Figure:
    """Distortion over rate, a point a configuration, named by the field's value."""
    figure, ax = plt.subplots(figsize=(4.6, 3.2), layout="constrained")
    places = []
    for group in sorted(groups, key=lambda group: float(group.config[field])):
        rate, distortion = (group.score(score) for score in scores)
        assert rate
        assert distortion
        places.append((rate.mean, distortion.mean))
        ax.annotate(
            f"{field} = {text_of(group.config[field])}", places[-1], color=INK, fontsize=8,
            xytext=(5, 4), textcoords="offset points",
        )  # fmt: skip
    ax.plot(*zip(*places, strict=True), color=COLOURS[0], marker="o", ms=4)
    ax.set(xlabel="rate: KL (nats an image)", ylabel="distortion (nats an image)")
    return figure
