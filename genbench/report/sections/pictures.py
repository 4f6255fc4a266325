"""Pictures that runs kept: generated ones, and what codes of pictures look like."""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from genbench.images import first_tiles
from genbench.record import Record, read_picture
from genbench.report.drawing import (
    array,
    as_it_is,
    eight_by_eight,
    kept_arrays,
    sheet,
    tiled,
)
from genbench.report.group import Group
from genbench.report.part import Content, Drawing, Part, each

STRIP = 8  # codes in the strip, a row each
EPOCHS = 10  # at most so many columns in it
POINTS = 1_000  # codes in a scatter plot; t-SNE of more takes longer than a training
LEAST = 10  # codes that are worth a plot
COLLAPSED_NATS = 1.0  # a posterior that carries less than this about an image has collapsed
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
        "a row a pair of codes, of pictures (a straight line) or drawn (a great circle).",
    ),
    "samples": ("Samples", "{group.model}_samples", "images decoded from draws of the prior."),
}


def _keeping(part: Part, archive: str, *names: str) -> list[Group]:
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
        groups = _keeping(part, "pictures", name)
        groups = [g for g in groups if name != "samples" or "encode" in g.can]
        text = f"{{group.title}}, seed {{group.config[seed]}}: {caption}"
        made, real = partial(_sheet, name), name == "neighbours"
        of_codes = [g for g in groups if name == "interpolations" and "encode" in g.can]
        figures = each([g for g in groups if g not in of_codes], file, text, made, real)
        yield Content(heading, figures=figures + each(of_codes, file, text, made, real=True))


def _sheet(name: str, group: Group) -> Figure:
    """Pictures (rows, columns, H, W[, 3]) as they are, (N, H, W[, 3]) in rows of 8."""
    pictures = array(group.runs[0], "pictures", name)
    if name != "samples":
        return sheet([tiled(pictures)])
    return sheet([eight_by_eight(pictures, max(8, -(-len(pictures) // 8)))])


def generated(part: Part) -> Iterator[Content]:
    """The samples of one z after the first, a middle and the last epoch, and as a strip."""
    figures = []
    for group in [group for group in part.leading if "encode" not in group.can]:
        with_grids = ((run, grids) for run in group.ended if (grids := sample_grids(run)))
        for run, grids in itertools.islice(with_grids, 1):
            whose = f"{group.title}, seed {run.config['seed']}"
            known = sorted(grids)
            for epoch in landmarks(known):
                name, draw = f"generated-images-{epoch:04d}", partial(as_it_is, grids[epoch])
                caption = f"{whose}: samples after epoch {epoch} of {known[-1]}."
                figures.append(Drawing(name, caption, draw, group.model))
            shown, by_class = evenly(known, EPOCHS), bool(run.config.get("conditional"))
            draw = partial(strip, {epoch: grids[epoch] for epoch in shown}, by_class)
            what = "a class, one code z of each" if by_class else "a code z"
            caption = f"{whose}: a row {what}, a column an epoch."
            figures.append(Drawing("generated-strip", caption, draw, group.model))
    yield Content("Generated pictures", figures=figures)


def sample_grids(run: Record) -> dict[int, Path]:
    """The pictures of a run's epochs, by epoch, without those that are damaged.

    Only those are looked at that will be shown; all of them are of one shape.
    """
    grids, shapes = run.grids(), dict[int, tuple[int, ...]]()
    while looked := {*landmarks(sorted(grids)), *evenly(sorted(grids), EPOCHS)} - shapes.keys():
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


def landmarks(epochs: list[int]) -> list[int]:
    """The first, a middle and the last of them."""
    return list(dict.fromkeys([*epochs[:1], *epochs[(len(epochs) - 1) // 2 :][:1], *epochs[-1:]]))


def evenly(items: list[int], n: int) -> list[int]:
    """Up to n of the items, evenly spread, the first and the last among them."""
    places = np.linspace(0, len(items) - 1, min(n, len(items)))
    return [items[round(place)] for place in places]


def strip(grids: dict[int, Path], by_class: bool) -> Figure:
    """The first samples of each epoch's grid, or the first of each class; a column an epoch."""
    pictures = map(read_picture, grids.values())
    columns = [first_tiles(picture, STRIP, by_class) for picture in pictures if picture is not None]
    width = columns[0].shape[2] + 2
    titles = [(width * (i + 0.5), f"epoch {epoch}") for i, epoch in enumerate(grids)]
    return sheet([tiled(np.stack(columns, axis=1))], titles)


def against_originals(part: Part) -> Iterator[Content]:
    """Held-out pictures beside samples of each family's first group, and of baselines."""
    first = [g for g in _keeping(part, "pictures", "originals", "samples") if "encode" not in g.can]
    if not first:
        return
    baselines = [g for g in part.groups if g.is_baseline and g.runs and g not in first]
    shown = first + [g for g in baselines if kept_arrays(g.runs[0], "pictures", "samples")]
    originals = array(first[0].runs[0], "pictures", "originals")
    samples = [(group, array(group.runs[0], "pictures", "samples")) for group in shown]
    alike = [(group, some) for group, some in samples if some.shape[1:] == originals.shape[1:]]
    pictures, shown = [originals, *(some for _, some in alike)], [group for group, _ in alike]
    panels, gap = [eight_by_eight(some) for some in pictures], 24
    step, middle = panels[0].shape[1] + gap, panels[0].shape[1] / 2
    names = ["original", *(group.title for group in shown)]
    titles = [(step * i + middle, name) for i, name in enumerate(names)]
    caption = "64 held-out pictures beside 64 samples of each configuration's first seed."
    draw = partial(sheet, panels, titles, gap)
    figure = Drawing("generated_against_original", caption, draw, first[0].model, real=True)
    yield Content("Generated against original", figures=[figure])


def reconstructions(part: Part) -> Iterator[Content]:
    """Pictures above what each model makes of them."""
    if groups := _keeping(part, "pictures", "originals", "reconstructions"):
        strips = [array(groups[0].runs[0], "pictures", "originals")]
        made = [array(group.runs[0], "pictures", "reconstructions") for group in groups]
        groups = [g for g, some in zip(groups, made, strict=True) if some.shape == strips[0].shape]
        strips += [some for some in made if some.shape == strips[0].shape]
        caption = f"The first images of the {part.split} split; below them, what is made of them: "
        caption += ", ".join(group.title for group in groups)
        draw = partial(sheet, [tiled(np.stack(strips))])
        figure = Drawing("reconstructions", f"{caption}.", draw, groups[0].model, real=True)
        yield Content("Reconstructions", figures=[figure])


def latent_spaces(part: Part) -> Iterator[Content]:
    """Codes as points, on one scale for all models, and how much of them is used."""
    groups = _keeping(part, "latents", "z", "labels")
    groups = [g for g in groups if len(array(g.runs[0], "latents", "z")) >= LEAST]
    points = {g.model: projections(array(g.runs[0], "latents", "z")[:POINTS]) for g in groups}
    classes = any(array(g.runs[0], "latents", "labels").any() for g in groups)
    caption = (
        f"{{group.title}}: codes of {part.split} images{', coloured by label' * classes}; each "
        "projection has one scale for all models."
    )
    draw = partial(latent_space, points)
    said = [about_code(group, part.split) for group in part.groups]
    figures = each(groups, "{group.model}_latent_space", caption, draw)
    yield Content("Latent spaces", [*said, about_sizes(part), about_prior(part)], figures=figures)


def projections(z: np.ndarray) -> dict[str, np.ndarray]:
    """Codes (N, D) as points (N, 2): as they are up to two dimensions, else by PCA and t-SNE."""
    if z.shape[1] <= 2:
        return {"code": np.pad(z, [(0, 0), (0, 2 - z.shape[1])])}
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(z) - 1) / 3)
    return {
        "PCA": PCA(2, random_state=0).fit_transform(z),
        "t-SNE": TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(z),
    }


def latent_space(points: dict[str, dict[str, np.ndarray]], group: Group) -> Figure:
    """A panel a projection; `points` (N, 2) are by family and projection."""
    own, labels = points[group.model], array(group.runs[0], "latents", "labels")[:POINTS]
    figure, axes = plt.subplots(1, len(own), figsize=(4.6 * len(own), 4.2), squeeze=False)
    for ax, (name, xy) in zip(axes[0], own.items(), strict=True):
        shared = [kinds[name] for kinds in points.values() if name in kinds]
        limit = 1.05 * max(float(np.abs(p).max()) for p in shared)
        dots = ax.scatter(xy[:, 0], xy[:, 1], c=labels, cmap="tab10", s=7, vmin=-0.5, vmax=9.5)
        ax.set(title=f"{group.title}: {name}", xlim=(-limit, limit), ylim=(-limit, limit))
        ax.set_aspect("equal")
    if labels.any():  # there are classes
        figure.colorbar(dots, ax=list(axes[0]), ticks=range(10), label="label", shrink=0.8)
    return figure


def about_code(group: Group, split: str) -> str | None:
    """How much of the code is used, and whether the posterior collapsed."""
    active, kl = group.score(f"{split}/active_units"), group.score(f"{split}/kl")
    size = group.config.get("latent_dim")
    if not active or not kl or not size:
        return None
    if kl.mean < COLLAPSED_NATS:
        return (
            f"The {group.named}'s posterior has collapsed: {kl.mean:.2f} nats of KL say next to "
            "nothing about an image; try a smaller beta, a longer kl_warmup or free_bits."
        )
    if round(active.mean) >= size:
        return f"The {group.named} uses all of its {size} latent dimensions."
    return (
        f"The {group.named} uses {active.mean:.1f} of its {size} latent dimensions; "
        "the means of the others hardly vary from image to image."
    )


def about_sizes(part: Part) -> str | None:
    """A warning where the codes differ in size: the comparison is then not on equal terms."""
    coding = [group for group in part.groups if "encode" in group.can]
    sizes = {g.named: g.config["latent_dim"] for g in coding if "latent_dim" in g.config}
    if len(set(sizes.values())) < 2:
        return None
    named = ", ".join(f"{size} numbers ({name})" for name, size in sizes.items())
    return f"The codes differ in size, {named}: the larger one has the easier reconstruction."


def about_prior(part: Part) -> str | None:
    """Which models can be drawn from, and why."""
    codes = [group for group in part.groups if "encode" in group.can]
    priors = [group for group in codes if "generate" in group.can]
    if len(priors) != 1 or len(codes) == 1 or not priors[0].score(f"{part.split}/kl"):
        return None
    return (
        f"Of these only the {priors[0].named} has a prior to draw new images from: the KL term of "
        "its loss ties its codes to N(0, 1)."
    )


def manifolds(part: Part) -> Iterator[Content]:
    """Pictures decoded over a plane of the code."""
    caption = (
        "{group.title}: images decoded over the plane of the codes' first two principal axes (of "
        "their dimensions, if there are two), 2nd to 98th percentile of the codes."
    )
    groups = _keeping(part, "pictures", "manifold", "manifold_extent")
    if any(group.config.get("conditional") for group in groups):
        caption += " Where classes were learned, all are of the first."
    yield Content(
        "Decoded manifolds", figures=each(groups, "{group.model}_manifold", caption, manifold)
    )


def manifold(group: Group) -> Figure:
    """The decoded grid (rows, columns, H, W[, 3]) in the coordinates of its plane."""
    run = group.runs[0]
    pictures = array(run, "pictures", "manifold")
    grid = np.concatenate([np.concatenate(list(row), axis=1) for row in pictures])
    figure, ax = plt.subplots(figsize=(5.2, 5.2 * len(pictures) / pictures.shape[1]))
    extent = tuple(array(run, "pictures", "manifold_extent"))
    ax.imshow(grid, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")
    ax.set(xlabel="axis 1", ylabel="axis 2")
    if len(pictures) == 1:
        ax.set(yticks=[], ylabel="")
    ax.grid(False)
    return figure
