"""What all figures share: their style, how they come to disk, and pictures pixel for pixel."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import optuna
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from genbench.images import tile
from genbench.record import Record

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
}
TRAIN, VAL = "#1f77b4", "#d95f02"
WIDE = 1_100  # pixels that a sheet of pictures is enlarged to, by a whole factor
LINE = 24  # pixels that a line of text takes


@dataclass(frozen=True)
class Drawn:
    """A figure on disk, under a heading of the report."""

    path: Path
    heading: str
    caption: str


Plan = Iterator[tuple[str, str, str, Callable[[], Figure]]]  # file, heading, caption, drawing


def draw_all(plan: Plan, folder: Path) -> list[Drawn]:
    """Draw every figure of a plan, as <folder>/<name>.png."""
    drawn = []
    with plt.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Attempting to set identical low and high")  # Optuna's
        for name, heading, caption, draw in plan:
            figure = draw()
            path = folder / f"{name}.png"
            figure.savefig(path)
            plt.close(figure)
            drawn.append(Drawn(path, heading, caption))
    return drawn


def arrays(run: Record, name: str) -> dict[str, np.ndarray]:
    """The arrays of a run's <name>.npz."""
    with np.load(run.path / f"{name}.npz", allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def tiled(pictures: np.ndarray) -> np.ndarray:
    """Pictures (rows, columns, H, W[, 3]) as one, a white line around each, as runs save grids."""
    return tile(pictures.reshape(-1, *pictures.shape[2:]), columns=pictures.shape[1])


def eight_by_eight(pictures: np.ndarray) -> np.ndarray:
    """Up to 64 pictures (N, H, W[, 3]) row by row as one, white where there are fewer."""
    some = pictures[:64]
    missing = [(0, 64 - len(some))] + [(0, 0)] * (some.ndim - 1)
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
