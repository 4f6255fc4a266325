"""Two folders of pictures, from any program, as `uint8` of one size."""

import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from genbench import UserError
from genbench.config import EvaluateConfig
from genbench.console import say
from genbench.data.look import Cut, Listing, Look, formats, list_pictures, opened
from genbench.data.pictures import survey


def read_pair(fakes: Path, reals: Path, options: EvaluateConfig) -> tuple[np.ndarray, np.ndarray]:
    """At most N samples and 2 N real pictures (M, 3, S, S) `uint8`, drawn by the seed.

    Every file counts, copies too: samples that repeat each other are a finding. The reals' centre
    squares are resized once, antialiased, to the samples' size, or both to `image_size`.

    Raises:
        UserError: A folder is missing or holds nothing readable, the samples' sizes are mixed, or
            one side is grey and the other is not.
    """
    listings = _list(fakes, "fakes"), _list(reals, "reals")
    side = options.image_size or _common_side(listings[0])
    counts = options.n, 2 * options.n
    looks = [
        _read(_some(listing, count, options.seed), side)
        for listing, count in zip(listings, counts, strict=True)
    ]
    grey = [all("grey" in look.traits for look in side_looks) for side_looks in looks]
    if grey[0] != grey[1]:
        named = dict(zip(grey, (fakes, reals), strict=True))
        raise UserError(
            f"{named[True]} is grey and {named[False]} is in colour: no distance between them "
            "means anything; convert one"
        )
    lossy = sum(look.kind == "JPEG" for look in looks[0])
    if lossy:
        say(f"{fakes}: {lossy} samples are JPEG, whose losses are scored too; PNG has none")
    small = sum(min(look.size) < side for look in looks[1])
    if small:
        say(f"{reals}: {small} pictures are smaller than {side} px, and are enlarged")
    first, second = (
        np.concatenate([look.images for look in side_looks if look.images is not None])
        for side_looks in looks
    )
    return first, second


def _list(folder: Path, flag: str) -> Listing:
    try:
        return list_pictures(folder)
    except UserError as error:
        raise UserError(str(error).replace("--data_dir", f"--{flag}")) from error


def _some(listing: Listing, count: int, seed: int) -> Listing:
    """At most `count` of the files, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(listing.files))[:count]
    return replace(listing, files=[listing.files[i] for i in order])


def _common_side(listing: Listing) -> int:
    """The side that all pictures have; only the files' heads are read."""
    sizes: Counter[tuple[int, int]] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for name, *_ in listing.files:
            # decoders raise almost anything on damaged files; `_read` counts and names them
            with (
                suppress(Exception),
                opened(listing.folder, name) as file,
                Image.open(file, formats=formats()) as image,
            ):
                sizes[image.size] += 1
    if not sizes:
        raise UserError(f"{listing.folder}: no picture can be read; genbench data audit says why")
    (width, height), _ = sizes.most_common(1)[0]
    if len(sizes) > 1 or width != height:
        listed = ", ".join(f"{n} of {w}x{h}" for (w, h), n in sizes.most_common(3))
        raise UserError(
            f"{listing.folder}: samples must be squares of one size, not {listed}; --image_size=S "
            "resizes all to S x S"
        )
    return width


def _read(listing: Listing, side: int) -> list[Look]:
    """The usable pictures; the others are counted and named."""
    # a duplicate has a reason to be left out of a training, and its pixels: here it counts
    looks = list(survey(listing, Cut(side)))
    left_out = [f"{look.name}: {look.reason}" for look in looks if look.images is None]
    if left_out:
        more = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        say(f"{listing.folder}: {len(left_out)} files left out: {'; '.join(left_out[:3])}{more}")
    usable = [look for look in looks if look.images is not None]
    if not usable:
        raise UserError(f"{listing.folder}: no picture can be read; genbench data audit says why")
    return usable
