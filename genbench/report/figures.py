"""The figures of AE and VAE, drawn from run folders and study files."""

from functools import partial

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from genbench.report.drawing import TRAIN, VAL, Plan, arrays
from genbench.report.searches import plan_search
from genbench.report.select import Chapter, Entry

POINTS = 1_000  # codes in a scatter plot; t-SNE of more takes longer than a training
NAMES = {"loss": "loss", "reconstruction": "reconstruction", "kl": "KL"}


def plan(chapter: Chapter) -> Plan:
    """What there is to draw of AE and VAE, in the report's order."""
    for entry in chapter.entries:
        yield (
            f"{entry.model}_loss",
            "Losses",
            f"{entry.title}: training (running means) and validation, nats an image; "
            f"{len(entry.runs)} training seeds.",
            partial(losses, entry),
        )
    drawable = [entry for entry in chapter.entries if _has_pictures(entry)]
    if drawable:
        yield from _plan_pictures(drawable)
    for entry in chapter.entries:
        yield from plan_search(entry.model, entry.title, entry.study, entry.pareto)


def _plan_pictures(drawable: list[Entry]) -> Plan:
    """The figures of models that kept pictures and codes."""
    yield (
        "reconstructions",
        "Reconstructions",
        f"The first images of the {drawable[0].split} split and what each model makes of them.",
        partial(reconstructions, drawable),
    )
    shadows = {
        entry.model: projections(_array(entry, "latents")["z"][:POINTS]) for entry in drawable
    }
    for entry in drawable:
        size = entry.runs[0].config["latent_dim"]
        yield (
            f"{entry.model}_latent_space",
            "Latent spaces",
            f"{entry.title}: codes of {entry.split} images, coloured by label ({size} dimensions; "
            "each projection has one scale for all models).",
            partial(latent_space, entry, shadows),
        )
    for entry in drawable:
        flat = entry.runs[0].config["latent_dim"] <= 2
        plane = "its two dimensions" if flat else "the codes' first two principal axes"
        yield (
            f"{entry.model}_manifold",
            "Decoded manifolds",
            f"{entry.title}: images decoded over the plane of {plane}, "
            "2nd to 98th percentile of the codes.",
            partial(manifold, entry),
        )
    for entry in drawable:
        yield (
            f"{entry.model}_interpolations",
            "Interpolations",
            f"{entry.title}: straight lines between the codes of two {entry.split} images.",
            partial(interpolations, entry),
        )
    for entry in drawable:
        if "samples" in _array(entry, "pictures"):
            yield (
                f"{entry.model}_samples",
                "Samples",
                f"{entry.title}: images decoded from draws of the prior.",
                partial(samples, entry),
            )


def _has_pictures(entry: Entry) -> bool:
    """Whether the first seed kept pictures and codes, of the split that the chapter speaks of."""
    files = [entry.runs[0].path / f"{name}.npz" for name in ("pictures", "latents")]
    return all(f.is_file() for f in files) and str(_array(entry, "latents")["split"]) == entry.split


def _array(entry: Entry, name: str) -> dict[str, np.ndarray]:
    """The arrays of the first seed's <name>.npz."""
    return arrays(entry.runs[0], name)


def losses(entry: Entry) -> Figure:
    """A panel a scalar, training and validation, a line a seed."""
    names = [name for name in NAMES if entry.runs[0].curve("val", name)[1]]
    names = names if "kl" in names else ["reconstruction"]  # an AE's loss is its reconstruction
    figure, axes = plt.subplots(1, len(names), figsize=(3.6 * len(names), 2.8), squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        seen = []
        for run in entry.runs:
            for split, colour in (("train", TRAIN), ("val", VAL)):
                epochs, values = run.curve(split, name)
                marker = "o" if split == "val" else None
                ax.plot(epochs, values, color=colour, alpha=0.8, lw=1.1, marker=marker, ms=2.5)
                seen += [v for e, v in zip(epochs, values, strict=True) if e >= min(1, epochs[-1])]
        margin = 0.08 * (max(seen) - min(seen) or 1.0)
        ax.set_ylim(min(seen) - margin, max(seen) + margin)  # the first steps would dwarf the rest
        ax.set(title=f"{entry.title}: {NAMES[name]}", xlabel="epoch", ylabel="nats an image")
    axes[0][0].plot([], [], color=TRAIN, label="training")
    axes[0][0].plot([], [], color=VAL, marker="o", ms=2.5, label="validation")
    axes[0][0].legend()
    figure.tight_layout()
    return figure


def reconstructions(entries: list[Entry]) -> Figure:
    """Originals above each model's reconstructions."""
    rows = [("original", _array(entries[0], "pictures")["originals"])]
    rows += [(entry.title, _array(entry, "pictures")["reconstructions"]) for entry in entries]
    return _strips(rows)


def interpolations(entry: Entry) -> Figure:
    """A row a pair of images."""
    return _strips([("", row) for row in _array(entry, "pictures")["interpolations"]])


def samples(entry: Entry) -> Figure:
    """Samples in rows of 16."""
    images = _array(entry, "pictures")["samples"]
    return _strips([("", images[i : i + 16]) for i in range(0, len(images), 16)])


def _strips(rows: list[tuple[str, np.ndarray]]) -> Figure:
    """Rows of images, each (N, H, W) or (N, H, W, 3) with its name at the left."""
    width = max(len(images) for _, images in rows)
    figure, axes = plt.subplots(
        len(rows), 1, figsize=(0.55 * width, 0.6 * len(rows)), squeeze=False
    )
    for ax, (name, images) in zip(axes[:, 0], rows, strict=True):
        ax.imshow(np.concatenate(list(images), axis=1), cmap="gray", vmin=0, vmax=255)
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    figure.subplots_adjust(hspace=0.05)
    return figure


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


def latent_space(entry: Entry, shadows: dict[str, dict[str, np.ndarray]]) -> Figure:
    """A panel a projection, on the scale that all models of the report share."""
    mine, labels = shadows[entry.model], _array(entry, "latents")["labels"][:POINTS]
    figure, axes = plt.subplots(1, len(mine), figsize=(4.6 * len(mine), 4.2), squeeze=False)
    for ax, (name, points) in zip(axes[0], mine.items(), strict=True):
        shared = [p for kinds in shadows.values() for n, p in kinds.items() if n == name]
        limit = 1.05 * max(float(np.abs(p).max()) for p in shared)
        dots = ax.scatter(*points.T, c=labels, cmap="tab10", s=7, vmin=-0.5, vmax=9.5)
        ax.set(title=f"{entry.title}: {name}", xlim=(-limit, limit), ylim=(-limit, limit))
        ax.set_aspect("equal")
    figure.colorbar(dots, ax=list(axes[0]), ticks=range(10), label="label", shrink=0.8)
    return figure


def manifold(entry: Entry) -> Figure:
    """The decoded grid in the coordinates of its plane."""
    pictures = _array(entry, "pictures")
    grid = np.concatenate([np.concatenate(list(row), axis=1) for row in pictures["manifold"]])
    rows, columns = pictures["manifold"].shape[:2]
    figure, ax = plt.subplots(figsize=(5.2, 5.2 * rows / columns))
    extent = tuple(pictures["manifold_extent"])
    ax.imshow(grid, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")
    axis = "z" if entry.runs[0].config["latent_dim"] <= 2 else "principal axis "
    ax.set(xlabel=f"{axis}1", ylabel=f"{axis}2" if rows > 1 else "")
    if rows == 1:
        ax.set(yticks=[])
    ax.grid(False)
    return figure
