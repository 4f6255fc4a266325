"""What codes of pictures look like, and what they know."""

from collections.abc import Iterator

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from genbench.metrics.latent import has_collapsed
from genbench.report.drawing import CLASSES
from genbench.report.group import Group
from genbench.report.part import Content, Drawing, Part, each
from genbench.report.sections.pictures import keeping
from genbench.report.sheets import array

POINTS = 1_000  # codes in a scatter plot; t-SNE of more takes longer than a training
LEAST = 10  # codes that are worth a plot


def latent_spaces(part: Part) -> Iterator[Content]:
    """Codes as points, and how much of them is used."""
    said = [about_code(group, part.split) for group in part.groups]
    said = [about_prior(part), *said, about_sizes(part)]
    yield Content("Latent spaces", said, figures=clouds(part))


def clouds(part: Part) -> list[Drawing]:
    """Codes of each family's first group as points."""
    groups = keeping(part, "latents", "z", "labels")
    groups = [g for g in groups if len(array(g.runs[0], "latents", "z")) >= LEAST]
    classes = any(array(g.runs[0], "latents", "labels").any() for g in groups)
    coloured = ", coloured by label, which stands in their middle" * classes
    caption = f"{{group.title}}: codes of {part.split} images{coloured}; scales differ by model."
    return each(groups, "{group.model}_latent_space", caption, latent_space, alt=seen_of_codes)


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


def latent_space(group: Group) -> Figure:
    """A panel a projection, on the scale of its own points."""
    run = group.runs[0]
    own, labels = projections(array(run, "latents", "z")[:POINTS]), _labels(group)
    figure, axes = plt.subplots(
        1, len(own), figsize=(4.4 * len(own), 4.2), squeeze=False, layout="constrained"
    )
    for ax, (name, xy) in zip(axes[0], own.items(), strict=True):
        colours = [CLASSES[label % len(CLASSES)] for label in labels]
        ax.scatter(xy[:, 0], xy[:, 1], c=colours, s=7, lw=0, alpha=0.6, rasterized=True)
        for label in np.unique(labels) if labels.any() else ():
            x, y = np.median(xy[labels == label], axis=0)
            text = {"color": CLASSES[label % len(CLASSES)], "fontsize": 13, "fontweight": "bold"}
            around = [withStroke(linewidth=3, foreground="white")]
            ax.text(x, y, str(label), ha="center", va="center", path_effects=around, **text)
        ax.set(title=f"{group.title}: {name}")
        ax.set_aspect("equal", adjustable="datalim")
    return figure


def _labels(group: Group) -> np.ndarray:
    return array(group.runs[0], "latents", "labels")[:POINTS].astype(int)


def seen_of_codes(group: Group) -> str:
    """How many points of how many classes a scatter plot has."""
    labels, z = _labels(group), array(group.runs[0], "latents", "z")
    classes = len(np.unique(labels))
    told = f"; {classes} classes, each labelled at its middle" if classes > 1 else ""
    how = "as they are" if z.shape[1] <= 2 else "by PCA and by t-SNE"
    return (
        f"Scatter plot of {len(labels)} codes of the {group.title} ({z.shape[1]} numbers each) in "
        f"the plane, {how}{told}."
    )


def about_code(group: Group, split: str) -> str | None:
    """How much of the code is used, and whether the posterior collapsed."""
    active, kl = group.score(f"{split}/active_units"), group.score(f"{split}/kl")
    size = group.config.get("latent_dim")
    if not active or not kl or not size:
        return None
    if has_collapsed(kl.mean, active.mean):
        return (
            f"The {group.named}'s posterior has collapsed: {kl.mean:.2f} nats of KL say next to "
            "nothing about an image; try a smaller beta, a longer kl_warmup or free_bits."
        )
    if active.mean >= size:
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
    """How each model with codes is drawn from."""
    codes = [group for group in part.groups if "encode" in group.can and "decode" in group.can]
    priors = [group for group in codes if "generate" in group.can]
    others = [group for group in codes if group not in priors]
    if not priors or not others:
        return None
    named = [" and the ".join(dict.fromkeys(g.named for g in some)) for some in (priors, others)]
    return (
        f"Both can be drawn from: the {named[0]} by its prior N(0, 1), which the KL term of its "
        f"loss ties the codes to, the {named[1]} by a mixture of Gaussians fitted to its codes, "
        "as `genbench sample` and `genbench evaluate` do; which is better only scores tell."
    )


def manifolds(part: Part) -> Iterator[Content]:
    """Pictures decoded over a plane of the code."""
    yield Content("Decoded manifolds", figures=planes(part))


def planes(part: Part) -> list[Drawing]:
    """What each family's first group decodes over a plane of its code."""
    caption = (
        "{group.title}: images decoded over the plane of the codes' first two principal axes (of "
        "their dimensions, if there are two), 2nd to 98th percentile of the codes."
    )
    groups = keeping(part, "pictures", "manifold", "manifold_extent")
    if any(group.config.get("conditional") for group in groups):
        caption += " Where classes were learned, all are of the first."
    return each(groups, "{group.model}_manifold", caption, manifold)


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
