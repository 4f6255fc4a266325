"""The trials of a search as it was written down: drawn, and what their scores follow."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genbench.record import Study
from genbench.record.shapes import Trial
from genbench.report.drawing import COLOURS, INK

COLUMNS = 4  # hyper-parameters in a row
INTEGER = "IntDistribution"
GROUPS = 4  # as many parts of a hyper-parameter's values are compared
FEW = 2 * GROUPS  # trials of which all are drawn; of more a tenth may lie beyond the frame


@dataclass(frozen=True)
class Axis:
    """A hyper-parameter's values as places on a line; `choices` empty where it is a number."""

    name: str
    log: bool
    choices: tuple[Any, ...]
    low: float
    high: float
    whole: bool = False

    @classmethod
    def of(cls, name: str, text: str) -> "Axis":
        """From Optuna's JSON of a distribution; `ValueError` or `KeyError` where it is none."""
        attributes = json.loads(text)["attributes"]
        if "choices" in attributes:
            choices = tuple(attributes["choices"])
            return cls(name, False, choices, 0.0, len(choices) - 1.0)
        ends, whole = (attributes["low"], attributes["high"]), json.loads(text)["name"] == INTEGER
        return cls(name, bool(attributes["log"]), (), float(ends[0]), float(ends[1]), whole)

    def place(self, value: Any) -> float:
        """Where a value is; `ValueError` where it is not in the space."""
        if self.choices:
            return float(self.choices.index(value))
        if not self.low <= float(value) <= self.high:
            raise ValueError(f"{self.name}={value} is not in its space")
        return float(value)

    def share(self, value: Any) -> float:
        """The same from 0 to 1."""
        ends = [self.place(value), self.low, self.high]
        at, low, high = map(math.log, ends) if self.log else ends
        return (at - low) / (high - low) if high > low else 0.5

    def dress(self, ax: Axes) -> None:
        """Its scale and ticks, along a panel's width."""
        ax.set_xlabel(self.name)
        if self.log:
            ends = self.low, math.sqrt(self.low * self.high), self.high
            ax.set_xscale("log")
            ax.set_xticks(ends, [f"{end:.2g}" for end in ends])
            ax.minorticks_off()
        if self.choices:
            ax.set_xticks(range(len(self.choices)), [str(choice) for choice in self.choices])
            ax.set_xlim(-0.5, len(self.choices) - 0.5)
        elif not self.log:
            ax.xaxis.set_major_locator(MaxNLocator(4, integer=self.whole))


def completed(study: Study) -> list[Trial]:
    """The trials that were trained to their end."""
    return [trial for trial in study["trials"] if trial["state"] == "COMPLETE"]


def axes_of(study: Study) -> list[Axis]:
    """Its hyper-parameters."""
    return [Axis.of(name, text) for name, text in study["space"].items()]


def contradiction(study: Study) -> str:
    """Why its trials cannot be shown; empty if they can."""
    try:
        axes = axes_of(study)
        for trial in study["trials"]:
            if trial["state"] in ("COMPLETE", "PRUNED"):
                for axis in axes:
                    if axis.name in trial["params"]:
                        axis.share(trial["params"][axis.name])
                    elif trial["state"] == "COMPLETE":
                        raise ValueError(f"trial {trial['number']} has no {axis.name}")
                list(map(int, trial["intermediate"]))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def values_of(study: Study, objective: int = 0) -> np.ndarray:
    """The scores of the completed trials."""
    return np.array([(trial["values"] or [])[objective] for trial in completed(study)])


def seen(study: Study) -> str:
    """What its figures show, in words."""
    values, metric = values_of(study), study["objectives"][0]
    return (
        f"{len(values)} completed trials of a search; {metric} from {values.min():.4g} to "
        f"{values.max():.4g}."
    )


def history(study: Study) -> Figure:
    """A dot a completed trial, and the best so far as steps."""
    figure, ax = plt.subplots(figsize=(6, 2.7), layout="constrained")
    values = values_of(study)
    numbers = [trial["number"] for trial in completed(study)]
    best = np.minimum if study["directions"][0] == "minimize" else np.maximum
    so_far = best.accumulate(values)
    ax.plot(numbers, values, "o", color=COLOURS[0], ms=4)
    ax.step(numbers, so_far, where="post", color=COLOURS[1], lw=1.6)
    ax.annotate(
        f"best {so_far[-1]:.4g}", (numbers[-1], so_far[-1]), (5, 0), textcoords="offset points",
        color=COLOURS[1], va="center", annotation_clip=False,
    )  # fmt: skip
    _within(ax, values, study["directions"][0])
    ax.set(xlabel="trial", ylabel=study["objectives"][0])
    return figure


def slices(study: Study) -> Figure:
    """A panel a hyper-parameter: its value and the score of each completed trial."""
    axes, values = axes_of(study), values_of(study)
    rows = -(-len(axes) // COLUMNS)
    columns = min(COLUMNS, len(axes))
    figure, grid = plt.subplots(
        rows, columns, figsize=(2.6 * columns, 2.3 * rows), squeeze=False, sharey=True,
        layout="constrained",
    )  # fmt: skip
    best = values.argmin() if study["directions"][0] == "minimize" else values.argmax()
    for ax, axis in zip(grid.flat, axes, strict=False):
        places = [axis.place(trial["params"][axis.name]) for trial in completed(study)]
        ax.plot(places, values, "o", color=COLOURS[0], ms=4, alpha=0.7)
        ax.plot(places[best], values[best], "o", color=COLOURS[1], ms=7)
        axis.dress(ax)
        _within(ax, values, study["directions"][0])
    for ax in grid.flat[len(axes) :]:
        ax.set_axis_off()
    figure.supylabel(f"{study['objectives'][0]} (orange: the best)", fontsize=9)
    return figure


def parallel(study: Study) -> Figure:
    """A line a completed trial over all hyper-parameters, the better the darker and the later."""
    axes, values = axes_of(study), values_of(study)
    figure, ax = plt.subplots(figsize=(10.8, 3.2), layout="constrained")
    order = np.argsort(-values if study["directions"][0] == "minimize" else values)
    trials = completed(study)
    for rank, i in enumerate(order):
        heights = [axis.share(trials[i]["params"][axis.name]) for axis in axes]
        shade = 0.15 + 0.8 * rank / max(1, len(order) - 1)
        last = rank == len(order) - 1
        colour = COLOURS[1] if last else colormaps["Blues"](shade)
        ax.plot(heights, color=colour, lw=2.2 if last else 1.2, marker="o", ms=3)
        if last:
            ax.text(
                len(axes) - 0.97, heights[-1], f"best {values[i]:.4g}", color=COLOURS[1],
                va="top",
            )  # fmt: skip
    for x, axis in enumerate(axes):
        ax.axvline(x, color=INK, lw=0.6)
        ends = axis.choices or (f"{axis.low:g}", f"{axis.high:g}")
        for k, text in enumerate(ends):
            ax.text(x + 0.03, k / max(1, len(ends) - 1), str(text), fontsize=7, va="bottom")
    ax.set_xticks(range(len(axes)), [axis.name for axis in axes])
    ax.set(yticks=[], ylim=(-0.05, 1.12), xlim=(-0.1, len(axes) - 0.5))
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return figure


def front(study: Study) -> Figure:
    """A dot a completed trial by its two scores; red: no trial is better in both."""
    figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
    points = np.stack([values_of(study, 0), values_of(study, 1)], axis=1)
    signs = np.array([1 if way == "minimize" else -1 for way in study["directions"]])
    costs = points * signs
    worse = [bool(((costs <= c).all(1) & (costs < c).any(1)).any()) for c in costs]
    ax.plot(*points[worse].T, "o", color=COLOURS[6], ms=4)
    best = points[[not one for one in worse]]
    ax.plot(*best[best[:, 0].argsort()].T, "o-", color=COLOURS[1], ms=5, lw=1)
    ax.set(xlabel=study["objectives"][0], ylabel=study["objectives"][1])
    return figure


def _within(ax: Axes, values: Sequence[float] | np.ndarray, direction: str) -> None:
    """Limits that a few hopeless trials do not dwarf the rest in."""
    low, high = np.quantile(values, [0.0, 0.9] if direction == "minimize" else [0.1, 1.0])
    margin = 0.1 * (high - low or 1.0)
    if len(values) > FEW:
        ax.set_ylim(low - margin, high + margin)


def explained(study: Study) -> dict[str, float]:
    """The share of the scores' ranks that each hyper-parameter explains, the largest first.

    Its values are cut into quarters (its choices as they are); Kelley's epsilon squared is the
    explained share without what chance explains (Kelley 1935), and may fall below 0.
    """
    values, trials = values_of(study), completed(study)
    if len(values) <= GROUPS:
        return {}
    from scipy.stats import rankdata

    ranks, shares = rankdata(values), {}
    for axis in axes_of(study):
        places = np.array([axis.place(trial["params"][axis.name]) for trial in trials])
        kinds = places if axis.choices else _quarters(places)
        groups = [ranks[kinds == kind] for kind in np.unique(kinds)]
        within = sum(float(((g - g.mean()) ** 2).sum()) for g in groups)
        total = float(((ranks - ranks.mean()) ** 2).sum())
        freedom = len(ranks) - len(groups)
        if len(groups) > 1 and freedom > 0 and total > 0:
            shares[axis.name] = 1 - (within / freedom) / (total / (len(ranks) - 1))
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _quarters(places: np.ndarray) -> np.ndarray:
    """In which quarter of the values each is."""
    cuts = np.quantile(places, [k / GROUPS for k in range(1, GROUPS)])
    return np.searchsorted(cuts, places)
