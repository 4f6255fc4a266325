"""What is in a folder of pictures, and what reading it will do with each kind."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from genbench.config import FEWEST, LEAST, Config, EvaluateConfig
from genbench.data.look import Cut, Listing, Look, counted, list_pictures
from genbench.data.pictures import near_sources, shortfall, survey
from genbench.data.splits import SPLIT_SEED, own_classes, own_splits, split_sources

NAMES = 5  # on a line
GROUPS = 10  # of duplicates
FEW = 5_000  # training pictures that a discriminator learns by heart
WIDE = 300  # pictures of a score, with fewer of which it varies much
LONG = 2.0  # long side over short side: more is said to be lost
TRAITS = {
    "alpha": ("Transparent", "composited on white"),
    "animated": ("Animated or of several pages", "first frame only"),
    "rotated": ("Turned or mirrored by EXIF", "put upright"),
    "deep": ("More than 8 bits", "scaled to 8, not clipped"),
    "grey": ("Greyscale", "the same in all three channels"),
    "CMYK": ("CMYK", "converted to RGB"),
}


def audit(folder: Path, image_size: int, crops: int = 0, held_out: int = 0) -> list[str]:
    """Describe a folder as `read_pictures` would take it, without writing a cache.

    Args:
        folder: A folder of pictures.
        image_size: The squares' side in pixels.
        crops: Random squares a picture; 0 means the centre square.
        held_out: Different pictures for the test; 0: a tenth.

    Returns:
        The lines to print. Too few usable pictures are told in the last one, not raised.

    Raises:
        UserError: `folder` is no folder, or has no picture files.
    """
    listing, cut = list_pictures(folder), Cut(image_size, crops)
    looks = [replace(look, images=None) for look in survey(listing, cut)]
    kept = [look for look in looks if not look.reason]
    thumbs = [look.thumb for look in kept if look.thumb is not None]
    sources = near_sources([look.code for look in kept], thumbs)
    megabytes = sum(max(0, size) for _, size, _ in listing.files) / 1e6
    if why := shortfall(listing, len(sources), len(np.unique(sources))):
        ending = [f"Too few pictures: {why}"]
    else:
        names = [look.name for look in kept]
        own, classes = own_splits(names), own_classes(names)
        images, places = (np.repeat(a, max(1, crops)) for a in (sources, own))
        splits = split_sources(images, SPLIT_SEED, held_out, places)
        ending = [_result(sources, splits, cut), *_own(own, sources), *_of_classes(classes)]
        ending += _advice(splits)
    return [
        f"{folder}: {len(listing.files)} picture files, {megabytes:.1f} MB; "
        f"other files ignored: {counted(listing.others) or 'none'}",
        *_left_out(listing, looks),
        *(_kinds(kept) + _shapes(kept, cut) if kept else []),
        *_duplicates(looks, kept, sources),
        *ending,
    ]


def _left_out(listing: Listing, looks: list[Look]) -> list[str]:
    """The unusable files and folders by name, bombs apart."""
    bad = [f"{look.name}: {look.reason}" for look in looks if look.reason and not look.twin]
    bombs = [line for line in bad if ": bomb?" in line]
    damaged = [line for line in bad if line not in bombs]
    titles = ("Folders not readable", "Files not usable", "Decompression bombs")
    lines: list[str] = []
    for title, named in zip(titles, (listing.closed, damaged, bombs), strict=True):
        if named:
            lines += [f"{title}: {len(named)} -> left out", *(f"  {line}" for line in named)]
    return lines


def _kinds(kept: list[Look]) -> list[str]:
    """Formats, modes and the peculiarities, each with what is done about it."""
    lines = []
    for title, items in ("Formats", [x.kind for x in kept]), ("Modes", [x.mode for x in kept]):
        counts = (f"{name} {n}" for name, n in Counter(items).most_common())
        lines.append(f"{title}: {', '.join(counts)}")
    for trait, (what, action) in TRAITS.items():
        names = [look.name for look in kept if trait in {*look.traits, look.mode}]
        if names:
            lines.append(f"{what}: {len(names)} -> {action}: {_some(names)}")
    return lines


def _shapes(kept: list[Look], cut: Cut) -> list[str]:
    """Sizes, the pictures to be enlarged, and what the squares lose of long ones."""
    shorts = [min(look.size) for look in kept]
    pixels = [look.size[0] * look.size[1] / 1e6 for look in kept]
    lines = [
        f"Short side: {min(shorts)} to {max(shorts)} pixels, median {median(shorts):g}",
        f"Megapixels: {min(pixels):.2f} to {max(pixels):.2f}, median {median(pixels):.2f}",
    ]
    small = [look for look in kept if min(look.size) < cut.image_size]
    if small:
        names = _some(f"{look.name} ({look.size[0]}x{look.size[1]})" for look in small)
        lines.append(f"Smaller than {cut.image_size} pixels: {len(small)} -> upscaled: {names}")
    parts = {look.name: min(look.size) / max(look.size) for look in kept}
    long = {name: part for name, part in parts.items() if part * LONG < 1}
    if long:
        worst = min(long.values())
        keeps = f"the centre square keeps {worst:.0%} of the area at worst; consider --crops=4"
        if cut.crops:
            keeps = "random squares along the whole of them"
        lines.append(f"Longer than {LONG:g}:1: {len(long)} -> {keeps}: {_some(long)}")
    return lines


def _duplicates(looks: list[Look], kept: list[Look], sources: np.ndarray) -> list[str]:
    """Groups of the same picture, and of nearly the same."""
    same: dict[str, list[str]] = {}
    near: dict[int, list[str]] = {}
    for look in looks:
        if look.twin:
            same.setdefault(look.twin, [look.twin]).append(look.name)
    for look, source in zip(kept, sources.tolist(), strict=True):
        near.setdefault(source, []).append(look.name)
    repeats = sum(len(names) - 1 for names in same.values())
    return [
        *_groups("Exact duplicates", f"{repeats} left out", same.values()),
        *_groups("Near-duplicates", "kept, each group in one split", near.values()),
    ]


def _result(sources: np.ndarray, splits: dict[str, np.ndarray], cut: Cut) -> str:
    """How many images come out of it."""
    n = len(sources) * max(1, cut.crops)
    return (
        f"Result: {n} images of {cut.image_size}x{cut.image_size} pixels from "
        f"{len(np.unique(sources))} different pictures, "
        f"{', '.join(f'{name} {len(index)}' for name, index in splits.items())}; "
        f"{n * 3 * cut.image_size**2 / 1e6:.1f} MB in the cache"
    )


def _own(own: list[str], sources: np.ndarray) -> list[str]:
    """What of the folder's own split is kept, and whether its parts know each other."""
    if not own:
        return []
    by_source: dict[int, set[str]] = {}
    for split, source in zip(own, sources.tolist(), strict=True):
        by_source.setdefault(source, set()).add(split)
    shared = sum(len(splits) > 1 for splits in by_source.values())
    counts = ", ".join(f"{name} {n}" for name, n in Counter(own).items())
    near = f"; {shared} pictures have near-duplicates in two of them" if shared else ""
    return [f"Split: the folder's own, {counts}; what it lacks is dealt from train{near}"]


def _of_classes(classes: list[str]) -> list[str]:
    """The classes that the folders are, and how many pictures each has, most first."""
    if not classes:
        return []
    counts = Counter(classes).most_common()
    listed = _some(f"{name} {n}" for name, n in counts)
    return [f"Classes: {len(counts)} -> learned with --conditional=True: {listed}"]


def _advice(splits: dict[str, np.ndarray]) -> list[str]:
    """What a GAN does with so many pictures, and how far its scores can be trusted."""
    train, val, test = (len(splits[name]) for name in ("train", "val", "test"))
    few = train < FEW
    lines = [
        f"GAN: loss=drift, the default, learns from {train} pictures without augmentation; the "
        "discriminator of another --loss "
        + ("would know them by heart: give it --diffaugment=color,translation" if few else "too")
    ]
    scored = (
        ("while training", val, LEAST, Config.eval_images),
        ("of the test", test, FEWEST, EvaluateConfig.n),
    )
    for name, n, least, most in scored:
        if n < least:
            lines.append(
                f"Scores {name}: none, of {n} pictures ({least} needed); try --held_out, --crops"
            )
        else:
            wide = "; they are wide, compare none of them closely" if n < WIDE else ""
            lines.append(f"Scores {name}: N = {min(n, most)} pictures a side{wide}")
    return lines


def _groups(title: str, action: str, found: Iterable[list[str]]) -> list[str]:
    groups = [names for names in found if len(names) > 1]
    lines = [f"  {_some(names)}" for names in groups[:GROUPS]]
    if len(groups) > GROUPS:
        lines.append(f"  and {len(groups) - GROUPS} more groups")
    return [f"{title}: in {len(groups)} groups -> {action}", *lines] if groups else []


def _some(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    first = list(names)
    more = f" and {len(first) - NAMES} more" if len(first) > NAMES else ""
    return ", ".join(first[:NAMES]) + more
