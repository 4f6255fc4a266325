"""How figures are drawn: in one style, curves over epochs, and pictures pixel for pixel."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import optuna
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genbench.files import whole
from genbench.images import tile
from genbench.record import Record, read_picture
from genbench.report.group import Group

matplotlib.use("Agg")
DPI = 130
STYLE: Any = {
    "savefig.dpi": DPI,
    "savefig.bbox": "tight",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "text.parse_math": False,  # a record's `$` is a dollar
}
WIDE = 1_100  # pixels that a sheet of pictures is enlarged to, by a whole factor
LINE = 24  # pixels that a line of text takes


@dataclass(frozen=True)
class Line:
    """A scalar of a group's trainings over epochs, a line each; `dots` have none between them."""

    group: Group
    split: str
    name: str
    colour: str
    label: str = ""  # in the legend
    marker: str = ""
    dots: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines over epochs in one frame.

    limits: Of the values shown; None: 99 % of them, without the first epoch's if there are more.
    level: Where a dashed line stands.
    """

    title: str
    lines: list[Line]
    ylabel: str = ""
    limits: tuple[float, float | None] | None = None
    level: float | None = None


SEEDS = "First seed bold, others thin; ×: diverged"  # what curves show, for captions


def curves(panels: Sequence[Panel], columns: int) -> Figure:
    """Panels in rows of so many, and one legend below."""
    rows, columns = -(-len(panels) // columns), min(columns, len(panels))
    figure = plt.figure(figsize=(min(10.8, 5.4 * columns), 2.9 * rows), layout="constrained")
    for i, panel in enumerate(panels, 1):
        ax = figure.add_subplot(rows, columns, i)
        points = [point for line in panel.lines for point in _draw(ax, line)]
        low, high = panel.limits or _most(points)
        ax.set_ylim(low, high)
        ax.set(title=panel.title, xlabel="epoch", ylabel=panel.ylabel)
        ax.set_xlim(left=0)
        if panel.level is not None:
            ax.axhline(panel.level, color="black", ls="--", lw=0.8)
    named = {line.label: line for panel in panels for line in panel.lines if line.label}
    handles = [
        Line2D([], [], color=line.colour, marker=line.marker, ms=3, label=label)
        for label, line in named.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw(ax: Axes, line: Line) -> list[tuple[float, float]]:
    """Draw a line as far as it is finite; its points (epoch, value)."""
    drawn = []
    for i, run in enumerate(line.group.ended):
        epochs, values = run.curve(line.split, line.name)
        points = [p for p in zip(epochs, values, strict=True) if math.isfinite(p[1])]
        x, y = [p[0] for p in points], [p[1] for p in points]
        width, alpha = (0.8, 0.35) if i else (1.6, 1.0)
        width = 0.0 if line.dots else width
        ax.plot(x, y, color=line.colour, marker=line.marker, ms=3, lw=width, alpha=alpha)
        if run.status == "failed":
            ax.plot(x[-1:], y[-1:], color=line.colour, marker="x", ms=7, mew=2, alpha=alpha)
        drawn += points
    return drawn


def _most(points: list[tuple[float, float]]) -> tuple[float | None, float | None]:
    """Limits that the first steps do not dwarf the rest in."""
    last = max((epoch for epoch, _ in points), default=0.0)
    first = 1.0 if last > 2 else 0.0
    values = [value for epoch, value in points if epoch >= first]
    if not values:
        return None, None
    low, high = np.quantile(values, [0.005, 0.995])
    margin = 0.06 * (high - low or 1.0)
    return low - margin, high + margin


def save(draw: Callable[[], Figure], path: Path) -> None:
    """Draw a figure in the report's style, as a PNG."""
    with plt.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Attempting to set identical low and high")  # Optuna's
        figure = draw()
        with whole(path) as file:
            figure.savefig(file, format="png")
        plt.close(figure)


def kept_arrays(run: Record, archive: str, *names: str) -> bool:
    """Whether a run kept <archive>.npz with arrays of these names."""
    return set(names) <= run.arrays(archive).keys()


def array(run: Record, archive: str, name: str) -> np.ndarray:
    """An array of a run's <archive>.npz."""
    return run.arrays(archive)[name]


def as_it_is(path: Path) -> Figure:
    """A picture on disk as it is."""
    picture = read_picture(path)
    assert picture is not None  # who draws has looked
    return sheet([picture])


def tiled(pictures: np.ndarray) -> np.ndarray:
    """Pictures (rows, columns, H, W[, 3]) as one, a white line around each, as runs save grids."""
    return tile(pictures.reshape(-1, *pictures.shape[2:]), columns=pictures.shape[1])


def eight_by_eight(pictures: np.ndarray, rows: int = 8) -> np.ndarray:
    """Up to 64 pictures (N, H, W[, 3]) row by row as one, white where there are fewer.

    Args:
        pictures: They, `uint8`.
        rows: Of 8 pictures, if more or fewer are wanted.
    """
    some = pictures[: 8 * rows]
    missing = [(0, 8 * rows - len(some))] + [(0, 0)] * (some.ndim - 1)
    return tile(np.pad(some, missing, constant_values=255), columns=8)


def sheet(
    panels: Sequence[np.ndarray], titles: Sequence[tuple[float, str]] = (), gap: int = 8
) -> Figure:
    """Pictures (H, W[, 3]) `uint8` side by side, every pixel a square of whole pixels.

    Args:
        panels: The pictures, of one height.
        titles: Where along the width, in the panels' pixels, which text is centred above.
        gap: White pixels between two panels.
    """
    colours = [p if p.ndim == 3 else np.stack([p] * 3, axis=-1) for p in panels]
    white = np.full((len(panels[0]), gap, 3), 255, np.uint8)
    parts = [part for panel in colours for part in (white, panel)][1:]
    picture = np.concatenate(parts, axis=1)
    scale = max(1, round(WIDE / max(picture.shape[:2])))
    picture = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    top = LINE * max((text.count("\n") + 1 for _, text in titles), default=0)
    picture = np.pad(picture, [(top, 0), (0, 0), (0, 0)], constant_values=255)
    height, width = picture.shape[:2]
    figure = plt.figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.imshow(picture, interpolation="nearest", aspect="auto")
    for x, text in titles:
        ax.text(x * scale, top - 5, text, ha="center", va="bottom")
    return figure
