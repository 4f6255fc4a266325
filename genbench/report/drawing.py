"""How figures are drawn, in one style: charts as PNG and SVG, pictures pixel by pixel, films."""

import base64
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from genbench.files import whole
from genbench.record import Record
from genbench.report.group import Group
from genbench.report.sheets import Picture, encoded, to_gif, to_png

matplotlib.use("Agg")
INK = "#222222"
# Okabe and Ito's colours, the yellow left out: a line each that colour-blind readers tell apart
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F")
CLASSES = (  # ten of Paul Tol's "muted", of classes
    *("#332288", "#88CCEE", "#44AA99", "#117733", "#999933"),
    *("#DDCC77", "#CC6677", "#882255", "#AA4499", "#777777"),
)
STYLE: Any = {
    "savefig.dpi": 130,
    "savefig.bbox": "tight",
    "svg.fonttype": "none",  # text stays text
    "path.simplify_threshold": 0.5,  # of a point: what a curve may move for having fewer of them
    "svg.hashsalt": "genbench",  # the same figure is the same file
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "text.parse_math": False,  # a record's `$` is a dollar
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
    **dict.fromkeys(("axes.titlecolor", "xtick.color", "ytick.color"), INK),
}
ALIKE = re.compile(r'<use [^>]*?( style="([^"]*)")/>(?:<use [^>]*?\1/>)+')  # points of a series
RASTER = 84  # dots an inch of pictures within an SVG
APART = 0.075  # of a panel's height between two labels
SEEDS = "First seed bold, others thin; ×: diverged"  # what curves show, for captions
Drawn = Figure | Picture | list[Picture]  # a chart, a picture, or a film's frames
Clock = Callable[[Group], float]  # minutes an epoch


@dataclass(frozen=True)
class Line:
    """A scalar of a group's trainings over epochs, a line each; `dots` have none between them."""

    group: Group
    split: str
    name: str
    colour: str
    label: str = ""  # at its end
    marker: str = ""
    dots: bool = False

    def points(self, run: Record) -> list[tuple[float, float]]:
        """The finite ones of a run (epoch, value)."""
        pairs = zip(*run.curve(self.split, self.name), strict=True)
        return [point for point in pairs if math.isfinite(point[1])]


@dataclass(frozen=True)
class Panel:
    """Lines over epochs in one frame.

    limits: Of the values shown; None: 99 % of them, without the first epoch's if there are more.
    levels: Where dashed lines stand, by what they are.
    """

    title: str
    lines: list[Line]
    ylabel: str = ""
    limits: tuple[float, float | None] | None = None
    levels: tuple[tuple[str, float], ...] = ()

    @property
    def is_curve(self) -> bool:
        """Whether any training has two points: one alone is a row of a table."""
        return any(len(line.points(run)) > 1 for line in self.lines for run in line.group.ended)

    @property
    def alt(self) -> str:
        """What is seen, in words."""
        seen = []
        for line in (line for line in self.lines if line.label):
            if points := line.points(line.group.ended[0]):
                (x0, first), (x1, last) = points[0], points[-1]
                seen.append(
                    f"{line.label} from {first:.3g} at epoch {x0:.3g} to {last:.3g} at {x1:.3g}"
                )
        return f"{self.title}: {', '.join(seen)}" if seen else self.title


def alt_of(panels: Sequence[Panel]) -> str:
    """What is seen in panels of curves."""
    return f"Line charts. {'. '.join(panel.alt for panel in panels)}."


def curves(panels: Sequence[Panel], columns: int, clock: Clock | None = None) -> Figure:
    """Panels in rows of so many, each line named at its end; over time if there is a clock."""
    rows, columns = -(-len(panels) // columns), min(columns, len(panels))
    width = min(10.8, 5.6 * columns)
    figure = plt.figure(figsize=(width, 2.7 * rows), layout="constrained")
    for i, panel in enumerate(panels, 1):
        ax = figure.add_subplot(rows, columns, i)
        points = [point for line in panel.lines for point in _draw(ax, line, clock)]
        ax.set_ylim(*(panel.limits or _most(points)))
        label = "minutes of training" if clock else "epoch"
        ax.set(title=panel.title, xlabel=label, ylabel=panel.ylabel)
        ax.set_xlim(left=0)
        for _, level in panel.levels:
            ax.axhline(level, color=INK, ls="--", lw=0.8)
        _label_ends(ax, panel)
    return figure


def _draw(ax: Axes, line: Line, clock: Clock | None) -> list[tuple[float, float]]:
    """Draw a line as far as it is finite; its points (epoch, value)."""
    drawn = []
    unit = clock(line.group) if clock else 1.0
    for i, run in enumerate(line.group.ended):
        points = line.points(run)
        x, y = [unit * p[0] for p in points], [p[1] for p in points]
        width, alpha = (0.8, 0.35) if i else (1.6, 1.0)
        width = 0.0 if line.dots else width
        ax.plot(x, y, color=line.colour, marker=line.marker, ms=3, lw=width, alpha=alpha)
        if run.status == "failed":
            ax.plot(x[-1:], y[-1:], color=line.colour, marker="x", ms=7, mew=2, alpha=alpha)
        drawn += points
    return drawn


def _label_ends(ax: Axes, panel: Panel) -> None:
    """Name lines and levels right of where they end, one above the other."""
    low, high = ax.get_ylim()
    ends = [(name, level, INK) for name, level in panel.levels if name]
    for line in (line for line in panel.lines if line.label):
        if points := [p for run in line.group.ended[:1] for p in line.points(run)]:
            ends.append((line.label, points[-1][1], line.colour))
    places = sorted((min(1.0, max(0.0, (y - low) / (high - low))), n, c) for n, y, c in ends)
    at = -1.0
    over = max(0.0, APART * (len(places) - 1) - (1 - places[0][0])) if places else 0.0
    for place, name, colour in places:
        at = max(place - over, at + APART)
        ax.text(1.01, at, name, color=colour, transform=ax.transAxes, va="center", fontsize=8)


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


def save(draw: Callable[[], Drawn], stem: Path) -> tuple[Path, str]:
    """Draw a figure in the report's style.

    Args:
        draw: What draws it.
        stem: Its path without the ending.

    Returns:
        The file, .png or .gif, and of a chart its SVG.
    """
    with plt.rc_context(STYLE):
        drawn = draw()
        if not isinstance(drawn, Figure):
            film = isinstance(drawn, list)
            data = to_gif(drawn) if isinstance(drawn, list) else to_png(drawn)
            return _written(stem.with_name(f"{stem.name}.{'gif' if film else 'png'}"), data), ""
        png, svg = io.BytesIO(), io.StringIO()
        drawn.savefig(png, format="png")
        bare = {"Date": None, "Creator": None, "Format": None, "Type": None}
        drawn.savefig(svg, format="svg", dpi=RASTER, transparent=True, metadata=bare)
        plt.close(drawn)
    return _written(stem.with_name(f"{stem.name}.png"), png.getvalue()), svg.getvalue()


def _written(path: Path, data: bytes) -> Path:
    with whole(path) as file:
        file.write(data)
    return path


def inline(svg: str, prefix: str) -> str:
    """A chart's SVG to stand in a page: its ids its own, its ink, font and width the page's.

    It looks as matplotlib wrote it, in half as many characters.

    Args:
        svg: As matplotlib writes it.
        prefix: Of its ids.
    """
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    places = re.compile(r'(?<= )(?:d|x|y)="[^"]*"')  # to a hundredth of a point
    svg = places.sub(lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?| transform=\"rotate\(-0 [^)]*\)\"", "", svg)
    svg = re.sub(r" ?\n", " ", re.sub(r">\s+<", "><", svg))
    svg = ALIKE.sub(lambda m: f'<g style="{m[2]}">{m[0].replace(m[1], "")}</g>', svg)
    svg = re.sub(r"(?<=base64,)[^\"]+", lambda m: _smaller(m[0]), svg)
    return svg.replace(INK, "currentColor").replace("<svg ", '<svg aria-hidden="true" ', 1)


def _smaller(data: str) -> str:
    """The same PNG in base64 with one channel, if all are alike, or else of 256 colours."""
    image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")
    red, green, blue, alpha = np.moveaxis(np.asarray(image), -1, 0)
    if (red == green).all() and (red == blue).all() and (alpha == 255).all():
        image = Image.fromarray(red)
    else:
        image = image.quantize(256, method=Image.Quantize.FASTOCTREE)
    return base64.b64encode(encoded(image, "PNG", optimize=True)).decode()
