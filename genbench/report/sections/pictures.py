"""Pictures that runs kept: generated ones, and what codes of pictures look like."""

import itertools
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from genbench.images import first_tiles
from genbench.record import Record, read_picture
from genbench.report.group import Group
from genbench.report.part import Content, Drawing, Part, each
from genbench.report.sheets import (
    Picture,
    array,
    as_it_is,
    eight_by_eight,
    kept_arrays,
    side_by_side,
    tiled,
)

STRIP = 8  # codes in the strip, a row each
FRAMES = 24  # of a film
EPOCHS = 10  # at most so many columns in it
WAYS = {True: "of two pictures, along a straight line", False: "drawn, along a great circle"}
SHOWN = {  # pictures that are shown as they were kept in pictures.npz: heading, file, caption
    "neighbours": (
        "Nearest neighbours",
        "nearest_neighbours",
        "a row a sample, beside it the 3 training pictures nearest to it (Euclidean distance of "
        "thumbnails of 16 x 16 pixels). Copies would show here.",
    ),
    "interpolations": (
        "Interpolations",
        "{group.model}_interpolations",
        "a row a way from one code to another: {way}.",
    ),
    "samples": ("Samples", "{group.model}_samples", "images decoded from draws of the prior."),
}


def keeping(part: Part, archive: str, *names: str) -> list[Group]:
    """Each family's first group if its first seed kept such arrays, of the split of the part."""
    kept = [g for g in part.leading if g.runs and kept_arrays(g.runs[0], archive, *names)]
    return [
        g
        for g in kept
        if not kept_arrays(g.runs[0], "latents", "split")
        or str(array(g.runs[0], "latents", "split")) == part.split
    ]


def kept(part: Part) -> Iterator[Content]:
    """Nearest neighbours, interpolations, and samples of families with codes."""
    for name, (heading, file, caption) in SHOWN.items():
        groups = keeping(part, "pictures", name)
        groups = [g for g in groups if name != "samples" or "encode" in g.can]
        # in a part all families have codes or none; of one that is unknown here nobody knows
        coded = any(not g.family or "encode" in g.can for g in groups)
        caption = caption.replace("{way}", WAYS[coded])
        text = f"{{group.title}}, seed {{group.config[seed]}}: {caption}"
        real = name == "neighbours" or (name == "interpolations" and coded)
        figures = each(groups, file, text, partial(_sheet, name), real)
        if name == "interpolations":
            text = "{group.title}: the same ways as a film."
            figures += each(groups, "{group.model}_ways", text, ways, real)
        yield Content(heading, figures=figures)


def ways(group: Group) -> list[Picture]:
    """Interpolations as frames, there and back: all pairs side by side."""
    pictures = array(group.runs[0], "pictures", "interpolations")
    frames = [tiled(pictures[:, [k]].swapaxes(0, 1)) for k in range(pictures.shape[1])]
    return frames + frames[-2:0:-1]


def _sheet(name: str, group: Group) -> Picture:
    """Pictures (rows, columns, H, W[, 3]) as they are, (N, H, W[, 3]) in rows of 8."""
    pictures = array(group.runs[0], "pictures", name)
    if name != "samples":
        return tiled(pictures)
    return eight_by_eight(pictures, max(8, -(-len(pictures) // 8)))


def generated(part: Part) -> Iterator[Content]:
    """The samples of one z after the last epoch, and over training: as a strip and as a film."""
    figures = []
    for group in [group for group in part.leading if "encode" not in group.can]:
        with_grids = ((run, grids) for run in group.ended if (grids := sample_grids(run)))
        for run, grids in itertools.islice(with_grids, 1):
            whose = f"{group.title}, seed {run.config['seed']}"
            known = sorted(grids)
            name, still = f"generated-images-{known[-1]:04d}", partial(as_it_is, grids[known[-1]])
            done = max((row["epoch"] for row in run.metrics()), default=math.inf)
            when = f"epoch {known[-1]}" if done >= 1 else f"{done:.2g} epochs"
            caption = f"{whose}: samples after {when}."
            figures.append(Drawing(name, caption, still, group.model))
            shown, by_class = evenly(known, EPOCHS), bool(run.config.get("conditional"))
            draw = partial(strip, {epoch: grids[epoch] for epoch in shown}, by_class)
            what = "a class, one code z of each" if by_class else "a code z"
            caption = f"{whose}: a row {what}, a column an epoch ({', '.join(map(str, shown))})."
            heads = tuple(
                f"epoch {epoch}" if i == 0 else str(epoch) for i, epoch in enumerate(shown)
            )
            if len(known) > 1:
                strip_of = Drawing("generated-strip", caption, draw, group.model, columns=heads)
                figures.append(strip_of)
            if len(known) > 2:
                caption = (
                    f"{whose}: the same codes from epoch {known[0]} to {known[-1]}, as a film."
                )
                film = partial(training_film, [grids[epoch] for epoch in evenly(known, FRAMES)])
                figures.append(Drawing("generated-film", caption, film, group.model))
    yield Content("Generated pictures", figures=figures)


def sample_grids(run: Record) -> dict[int, Path]:
    """The pictures of a run's epochs, by epoch, without those that are damaged.

    Only those are looked at that will be shown; all of them are of one shape.
    """
    grids, shapes = run.grids(), dict[int, tuple[int, ...]]()
    while looked := set(evenly(sorted(grids), EPOCHS)) - shapes.keys():
        for epoch in sorted(looked):
            grid = read_picture(grids[epoch])
            odd = grid is not None and any(shape != grid.shape for shape in shapes.values())
            if grid is None or odd or not _holds_tiles(grid):
                del grids[epoch]
            else:
                shapes[epoch] = grid.shape
    return grids


def _holds_tiles(grid: np.ndarray) -> bool:
    """Whether a picture can be rows of 8 square ones with a white pixel around each."""
    side, rest = divmod(grid.shape[1], 8)
    return side > 2 and not rest and grid.shape[0] >= side


def training_film(grids: list[Path]) -> list[Picture]:
    """The upper half of each epoch's grid: 32 pictures a frame."""
    pictures = [picture for path in grids if (picture := read_picture(path)) is not None]
    side = pictures[0].shape[1] // 8
    return [p[: 4 * side] for p in pictures if p.shape == pictures[0].shape]


def evenly(items: list[int], n: int) -> list[int]:
    """Up to n of the items, evenly spread, the first and the last among them."""
    places = np.linspace(0, len(items) - 1, min(n, len(items)))
    return [items[round(place)] for place in places]


def strip(grids: dict[int, Path], by_class: bool) -> Picture:
    """The first samples of each epoch's grid, or the first of each class; a column an epoch."""
    pictures = map(read_picture, grids.values())
    columns = [first_tiles(picture, STRIP, by_class) for picture in pictures if picture is not None]
    return tiled(np.stack(columns, axis=1))


def against_originals(part: Part) -> Iterator[Content]:
    """Held-out pictures beside samples of each family's first group, and of baselines."""
    first = [g for g in keeping(part, "pictures", "originals", "samples") if "encode" not in g.can]
    if not first:
        return
    baselines = [g for g in part.groups if g.is_baseline and g.runs and g not in first]
    shown = first + [g for g in baselines if kept_arrays(g.runs[0], "pictures", "samples")]
    originals = array(first[0].runs[0], "pictures", "originals")
    samples = [(group, array(group.runs[0], "pictures", "samples")) for group in shown]
    alike = [(group, some) for group, some in samples if some.shape[1:] == originals.shape[1:]]
    pictures, shown = [originals, *(some for _, some in alike)], [group for group, _ in alike]
    panels, gap = [eight_by_eight(some) for some in pictures], 24
    names = ("original", *(group.title for group in shown))
    caption = (
        "64 held-out pictures beside 64 samples of each configuration's first seed; from left: "
        f"{'; '.join(names)}."
    )
    draw, model = partial(side_by_side, panels, gap), first[0].model
    figure = Drawing("generated_against_original", caption, draw, model, real=True, columns=names)
    yield Content("Generated against original", figures=[figure])


def reconstructions(part: Part) -> Iterator[Content]:
    """Pictures above what each model makes of them."""
    if groups := keeping(part, "pictures", "originals", "reconstructions"):
        strips = [array(groups[0].runs[0], "pictures", "originals")]
        made = [array(group.runs[0], "pictures", "reconstructions") for group in groups]
        groups = [g for g, some in zip(groups, made, strict=True) if some.shape == strips[0].shape]
        strips += [some for some in made if some.shape == strips[0].shape]
        caption = f"The first images of the {part.split} split; below them, what is made of them: "
        caption += ", ".join(group.title for group in groups)
        draw = partial(tiled, np.stack(strips))
        figure = Drawing("reconstructions", f"{caption}.", draw, groups[0].model, real=True)
        yield Content("Reconstructions", figures=[figure])
