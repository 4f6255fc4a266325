"""How figures are drawn, in one style: charts as PNG and SVG, pictures pixel by pixel, films."""

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
from genbench.images import tile
from genbench.record import Record, read_picture
from genbench.report.group import Group

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
SHEET = (560, 640)  # pixels wide and high that a sheet is enlarged towards, by a whole factor
RASTER = 84  # dots an inch of pictures within an SVG
LARGE = 120_000  # bytes of a PNG above which it is held to 256 colours
FILM = 400_000  # bytes of a film
FRAMES = 24  # of a film, at most
APART = 0.075  # of a panel's height between two labels
SEEDS = "First seed bold, others thin; ×: diverged"  # what curves show, for captions
Picture = np.ndarray  # (H, W[, 3]) `uint8`
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
    """A chart's SVG to stand in a page: its ids its own, its ink the page's, its width the text's.

    Args:
        svg: As matplotlib writes it.
        prefix: Of its ids.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    places = re.compile(r'(?<= )(?:d|x|y)="[^"]*"')  # to a hundredth of a point
    svg = places.sub(lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), svg)
    return svg.replace(INK, "currentColor").replace("<svg ", '<svg aria-hidden="true" ', 1)


def to_png(picture: Picture) -> bytes:
    """As small as it goes: enlarged by a whole factor if small, of 256 colours if large."""
    image = Image.fromarray(_enlarged(picture, _scale(picture)))
    data = _encoded(image, "PNG", optimize=True)
    if len(data) > LARGE and image.mode == "RGB":
        colours = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        data = _encoded(colours, "PNG", optimize=True)
    return data


def _enlarged(picture: Picture, scale: int) -> Picture:
    return picture.repeat(scale, 0).repeat(scale, 1)


def _scale(picture: Picture) -> int:
    return max(1, min(round(SHEET[0] / picture.shape[1]), SHEET[1] // picture.shape[0]))


def to_gif(frames: Sequence[Picture]) -> bytes:
    """A film that goes round, of fewer pixels, colours and frames until it is small enough."""
    usual = _scale(frames[0])
    for scale, n, colours in (
        *((usual, FRAMES, 256), (1, FRAMES, 256), (1, FRAMES, 64)),
        *((1, 12, 64), (1, 12, 32), (1, 6, 32), (1, 3, 16)),
    ):
        places = np.linspace(0, len(frames) - 1, min(n, len(frames))).round().astype(int)
        some = [_enlarged(frames[i], scale) for i in places]
        images = [Image.fromarray(frame).convert("RGB") for frame in some]
        first, *rest = [image.quantize(colours, dither=Image.Dither.NONE) for image in images]
        times = [260] * len(rest) + [1500]  # milliseconds
        data = _encoded(
            first, "GIF", save_all=True, append_images=rest, duration=times, loop=0, optimize=True
        )
        if len(data) <= (FILM if scale == 1 else FILM // 4):
            break
    return data


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def kept_arrays(run: Record, archive: str, *names: str) -> bool:
    """Whether a run kept <archive>.npz with arrays of these names."""
    return set(names) <= run.arrays(archive).keys()


def array(run: Record, archive: str, name: str) -> np.ndarray:
    """An array of a run's <archive>.npz."""
    return run.arrays(archive)[name]


def as_it_is(path: Path) -> Picture:
    """A picture on disk as it is."""
    picture = read_picture(path)
    assert picture is not None  # who draws has looked
    return picture


def tiled(pictures: np.ndarray) -> Picture:
    """Pictures (rows, columns, H, W[, 3]) as one, a white line around each, as runs save grids."""
    return tile(pictures.reshape(-1, *pictures.shape[2:]), columns=pictures.shape[1])


def eight_by_eight(pictures: np.ndarray, rows: int = 8) -> Picture:
    """Up to 64 pictures (N, H, W[, 3]) row by row as one, white where there are fewer.

    Args:
        pictures: They, `uint8`.
        rows: Of 8 pictures, if more or fewer are wanted.
    """
    some = pictures[: 8 * rows]
    missing = [(0, 8 * rows - len(some))] + [(0, 0)] * (some.ndim - 1)
    return tile(np.pad(some, missing, constant_values=255), columns=8)


def side_by_side(panels: Sequence[Picture], gap: int) -> Picture:
    """Pictures of one height beside each other, so many white pixels between two."""
    colours = [p if p.ndim == 3 else np.stack([p] * 3, axis=-1) for p in panels]
    white = np.full((len(panels[0]), gap, 3), 255, np.uint8)
    return np.concatenate([part for p in colours for part in (white, p)][1:], axis=1)
