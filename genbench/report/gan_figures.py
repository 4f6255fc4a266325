"""Part 2's figures: curves of the trainings, and pictures pixel for pixel."""

import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from genbench.images import first_tiles
from genbench.record import Record
from genbench.report.drawing import TRAIN, VAL, Plan, arrays, eight_by_eight, sheet, tiled
from genbench.report.gan import GAN, KEY, KINDS, GANChapter
from genbench.report.searches import plan_search

COLOURS = ("#1b6ca8", "#d95f02", "#6a51a3")  # an entry each
DISCRIMINATOR, GENERATOR = TRAIN, VAL
REAL, FAKE = "#1b7837", "#8e44ad"
BOLD: dict[str, Any] = {"lw": 1.8, "alpha": 1.0}  # the first seed
THIN: dict[str, Any] = {"lw": 0.8, "alpha": 0.35}
STRIP = 8  # codes in the strip, a row each
EPOCHS = 10  # at most so many columns in it


def plan(chapter: GANChapter) -> Plan:
    """What there is to draw of GANs, in the report's order."""
    entries = chapter.entries
    seeds = "First seed bold, others thin; ×: diverged"
    yield (
        "losses_disc_gene",
        "Losses",
        f"Training losses of discriminator and generator. {seeds}.",
        partial(losses, entries),
    )
    yield (
        "real_fake_scores",
        "Real and fake scores",
        "Mean probability that the discriminator gives to real and to generated pictures: lines "
        f"while training, dots on validation pictures. {seeds}. Dashed: 0.5, where a "
        "discriminator ends that cannot tell them apart (hinge has no such point).",
        partial(real_fake_scores, entries),
    )
    yield (
        "gan_divergence",
        "Distances while training",
        "How far samples are from real pictures: by their colours, by what the discriminator "
        "proves (dots: on validation pictures, lines: on training pictures, which it may know by "
        f"heart; at most log 2, dashed; below 0 it proves nothing), and by features. {seeds}.",
        partial(divergences, entries),
    )
    yield from _plan_epochs(entries[0])
    yield from _plan_gallery(entries)
    yield from plan_search("gan", "GAN", chapter.study, chapter.pareto)


def _plan_epochs(entry: GAN) -> Plan:
    """The samples of one z, which a run leaves after every epoch."""
    run = next((run for run in entry.runs + entry.failed if sample_grids(run)), None)
    if not run:
        return
    grids, whose = sample_grids(run), f"{entry.title}, seed {run.config['seed']}"
    known = sorted(grids)
    for epoch in dict.fromkeys([known[0], known[(len(known) - 1) // 2], known[-1]]):
        yield (
            f"generated-images-{epoch:04d}",
            "Generated pictures",
            f"{whose}: samples after epoch {epoch} of {known[-1]}.",
            partial(generated, grids[epoch]),
        )
    yield (
        "generated-strip",
        "Generated pictures",
        f"{whose}: a row a code z, a column an epoch.",
        partial(strip, {epoch: grids[epoch] for epoch in evenly(known, EPOCHS)}),
    )


def _plan_gallery(entries: list[GAN]) -> Plan:
    """The pictures that a run leaves at its end, with the weights of its best epoch."""
    best = entries[0]
    drawable = [entry for entry in entries if _has_pictures(entry)]
    if best not in drawable:
        return
    whose = f"{best.title}, seed {best.runs[0].config['seed']}"
    yield (
        "generated_against_original",
        "Generated against original",
        "64 held-out pictures beside 64 samples of each configuration's first seed.",
        partial(against_original, [best] + [one for one in drawable[1:] if one.baseline]),
    )
    yield (
        "nearest_neighbours",
        "Nearest neighbours",
        f"{whose}: samples, each beside the 3 training pictures nearest to it (Euclidean distance "
        "of thumbnails of 16 x 16 pixels). Copies would show here.",
        partial(nearest_neighbours, best),
    )
    yield (
        "gan_interpolations",
        "Interpolations",
        f"{whose}: samples along great circles between two codes, a row each.",
        partial(interpolations, best),
    )


def sample_grids(run: Record) -> dict[int, Path]:
    """The pictures of a run's epochs, by epoch."""
    found = (run.path / "samples").glob("epoch-*.png")
    return {int(path.stem.removeprefix("epoch-")): path for path in found}


def evenly(items: list[int], n: int) -> list[int]:
    """Up to n of the items, evenly spread, the first and the last among them."""
    places = np.linspace(0, len(items) - 1, min(n, len(items)))
    return [items[round(place)] for place in places]


def _has_pictures(entry: GAN) -> bool:
    return bool(entry.runs) and (entry.runs[0].path / "pictures.npz").is_file()


def _panels(names: Iterable[str], columns: int) -> list[Axes]:
    """Axes over epochs in rows, under their names."""
    titles = list(names)
    rows, columns = -(-len(titles) // columns), min(columns, len(titles))
    size = min(10.8, 5.4 * columns), 2.9 * rows
    figure = plt.figure(figsize=size, layout="constrained")
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(len(titles))]
    for ax, title in zip(axes, titles, strict=True):
        ax.set(title=title, xlabel="epoch")
    return axes


def _trainings(entry: GAN) -> list[tuple[Record, dict[str, Any]]]:
    """Its trainings with the style of their lines; the first finished one is the bold one."""
    runs = entry.runs + entry.failed
    return [(run, BOLD if i == 0 else THIN) for i, run in enumerate(runs)]


def _curve(
    ax: Axes, run: Record, split: str, name: str, colour: str, marker: str = "", **style: Any
) -> list[float]:
    """Draw a scalar over epochs as far as it is finite, with a cross where a run diverged."""
    points = [p for p in zip(*run.curve(split, name), strict=True) if math.isfinite(p[1])]
    if not points:
        return []
    epochs, values = zip(*points, strict=True)
    ax.plot(epochs, values, color=colour, marker=marker, ms=3, **style)
    if run.status == "failed":
        ax.plot(epochs[-1:], values[-1:], color=colour, marker="x", ms=7, mew=2)
    return list(values)


def _finish(axes: list[Axes], *lines: tuple[str, str, str]) -> Figure:
    """The axes' figure with a legend of (label, colour, marker) below."""
    figure = axes[0].get_figure(root=True)
    assert figure is not None
    for ax in axes:
        ax.set_xlim(left=0)
    for label, colour, marker in lines:
        axes[0].plot([], [], color=colour, label=label, marker=marker, ms=3)
    figure.legend(loc="outside lower center", ncols=len(lines))
    return figure


def losses(entries: list[GAN]) -> Figure:
    """A panel an entry."""
    axes = _panels((entry.title for entry in entries), 3)
    for ax, entry in zip(axes, entries, strict=True):
        seen: list[float] = []
        for run, style in _trainings(entry):
            seen += _curve(ax, run, "train", "loss_d", DISCRIMINATOR, **style)
            seen += _curve(ax, run, "train", "loss_g", GENERATOR, **style)
        _frame(ax, seen)
        ax.set(ylabel=f"loss ({entry.config['loss']})")
    return _finish(axes, ("discriminator", DISCRIMINATOR, ""), ("generator", GENERATOR, ""))


def _frame(ax: Axes, seen: list[float]) -> None:
    """Show 99% of the values: a few of the first steps would dwarf the rest."""
    if seen:
        low, high = np.quantile(seen, [0.005, 0.995])
        margin = 0.06 * (high - low or 1.0)
        ax.set_ylim(low - margin, high + margin)


def real_fake_scores(entries: list[GAN]) -> Figure:
    """A panel an entry."""
    axes = _panels((entry.title for entry in entries), 3)
    for ax, entry in zip(axes, entries, strict=True):
        for run, style in _trainings(entry):
            for name, colour in (("d_real", REAL), ("d_fake", FAKE)):
                _curve(ax, run, "train", name, colour, **(style | {"lw": 0.8}))
                _curve(ax, run, "val", name, colour, marker="o", **(style | {"lw": 0}))
        if entry.config["loss"] != "hinge":
            ax.axhline(0.5, color="black", ls="--", lw=0.8)
        ax.set(ylim=(-0.02, 1.02), ylabel="probability of being real")
    return _finish(axes, ("real pictures", REAL, "o"), ("generated pictures", FAKE, "o"))


def divergences(entries: list[GAN]) -> Figure:
    """A panel a measure: colours, the discriminator's bound, then the logged distances."""
    keys = distance_keys(entries)
    names = ["KL of colour histograms (nats)", "Jensen-Shannon, lower bound (nats)"]
    axes = _panels([*names, *map(_panel_title, keys)], 2)
    for entry, colour in zip(entries, COLOURS, strict=False):
        for run, style in _trainings(entry):
            _curve(axes[0], run, "val", "histogram_kl", colour, marker="o", **style)
            _curve(axes[1], run, "train", "js_bound", colour, **(style | {"lw": 0.6}))
            _curve(axes[1], run, "val", "js_bound", colour, marker="o", **(style | {"lw": 0}))
            for ax, key in zip(axes[2:], keys, strict=True):
                _curve(ax, run, "val", key, colour, marker="o", **style)
    axes[1].axhline(math.log(2), color="black", ls="--", lw=0.8)
    axes[1].set_ylim(-0.2, 0.75)
    for ax in (axes[0], *axes[2:]):
        low, high = min(0.0, ax.dataLim.y0), ax.dataLim.y1  # KID may fall below 0
        ax.set_ylim(low, high + 0.06 * (high - low) if high > low else None)
    whose = zip(entries, COLOURS, strict=False)
    return _finish(axes, *((entry.title, colour, "o") for entry, colour in whose))


def distance_keys(entries: list[GAN]) -> list[str]:
    """The distances that were logged while training, Fréchet before KID."""
    runs = [run for entry in entries for run in entry.runs + entry.failed]
    names = {name for run in runs for row in run.metrics() if row["split"] == "val" for name in row}
    return sorted(name for name in names if KEY.fullmatch(name))


def _panel_title(key: str) -> str:
    _, kind, extractor, n = KEY.fullmatch(key).groups()  # type: ignore[union-attr]
    return f"{KINDS[kind]} ({extractor}, N = {n})"


def generated(path: Path) -> Figure:
    """A run's grid of samples as it is."""
    return sheet([_read(path)])


def strip(grids: dict[int, Path]) -> Figure:
    """The first samples of each epoch's grid, a column an epoch."""
    columns = [first_tiles(_read(path), STRIP) for path in grids.values()]
    width = columns[0].shape[2] + 2
    titles = [(width * (i + 0.5), f"epoch {epoch}") for i, epoch in enumerate(grids)]
    return sheet([tiled(np.stack(columns, axis=1))], titles)


def _read(path: Path) -> np.ndarray:
    """A picture on disk, (H, W) or (H, W, 3) `uint8`."""
    with Image.open(path) as picture:
        return np.asarray(picture)


def against_original(entries: list[GAN]) -> Figure:
    """Held-out pictures, then a panel an entry."""
    found = [arrays(entry.runs[0], "pictures") for entry in entries]
    pictures = [found[0]["originals"], *(one["samples"] for one in found)]
    names = ["original", *(entry.title for entry in entries)]
    panels = [eight_by_eight(some) for some in pictures]
    width, gap = panels[0].shape[1], 24
    middles = [(width + gap) * i + width / 2 for i in range(len(panels))]
    return sheet(panels, list(zip(middles, names, strict=True)), gap)


def nearest_neighbours(entry: GAN) -> Figure:
    """Two blocks of rows: a sample, a gap, the training pictures nearest to it."""
    rows = arrays(entry.runs[0], "pictures")["neighbours"]
    half = -(-len(rows) // 2)
    blocks = [rows[:half], rows[half:]]
    panels = [tiled(part) for block in blocks for part in (block[:, :1], block[:, 1:])]
    starts = np.cumsum([0] + [panel.shape[1] + 8 for panel in panels])
    names = ["sample", "nearest training pictures"] * 2
    titles = [
        (start + panel.shape[1] / 2, name)
        for start, panel, name in zip(starts, panels, names, strict=False)
    ]
    return sheet(panels, titles)


def interpolations(entry: GAN) -> Figure:
    """A row a pair of codes."""
    return sheet([tiled(arrays(entry.runs[0], "pictures")["interpolations"])])
