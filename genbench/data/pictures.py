"""Any folder of pictures as one `uint8` array, decoded once and then mapped from a cache."""

import contextlib
import functools
import hashlib
import json
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from tqdm import tqdm

from genbench import UserError, signals
from genbench.console import say, say_once
from genbench.data.archive import close_archives, is_archive
from genbench.data.look import Cut, Listing, Look, counted, formats, list_pictures, look_at
from genbench.data.splits import MIN_PICTURES, MIN_SOURCES, own_classes, own_splits
from genbench.environment import cache_folder
from genbench.files import DiskError, whole, writing
from genbench.npz import read_npy, read_npz

NEAR_BITS = 6  # of 64: distance of two near-duplicates' difference hashes
NEAR_LEVELS = 6.0  # of 255: mean distance of their thumbnails, less for faint pictures
CACHE_VERSION = 3
STALE_SECONDS = 86_400.0  # younger files of the cache may be in the making, or in use
WORKERS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Pictures:
    """The pictures of a folder, cut to squares."""

    images: np.ndarray  # (N, 3, S, S) uint8, mapped read-only from the cache
    sources: np.ndarray  # (N,) int64: the picture an image was cut from; near-duplicates share it
    own: np.ndarray  # (N,) the split that an image's folder is; (0,) where they are none
    classes: np.ndarray  # (N,) the class that its folder is; all "" where they are none
    content_hash: str  # SHA-256 of images
    skipped: list[str]  # "NAME: reason" of the files left out, duplicates last


def read_pictures(folder: Path, image_size: int, crops: int = 0, wrap: bool = False) -> Pictures:
    """Read every picture below `folder`, once: later calls map the cache.

    Args:
        folder: Searched with its subfolders, or a zip or tar archive; hidden and other files are
            ignored.
        image_size: S, the squares' side in pixels, each resized once and antialiased.
        crops: 0 takes the centre square; K takes K random squares of a picture, their sides
            log-uniform from a quarter of its short side (but S at least) to all of it. They
            depend on nothing but the file's content.
        wrap: The pictures are tiles, and a random square goes on at the opposite edge.

    Raises:
        UserError: No such folder, too few usable pictures.
        DiskError: The cache cannot be written.
    """
    if image_size < 1 or crops < 0:
        raise UserError(f"image_size={image_size} and crops={crops}: 1 and 0 are the least")
    cut = Cut(image_size, crops, wrap)
    listing = None if is_archive(folder) else list_pictures(folder)  # slow of a compressed tar
    path = _cache_path(folder, listing, cut)
    pictures = _load(path, image_size) or _build(path, listing or list_pictures(folder), cut)
    close_archives()
    if pictures.skipped:
        more = len(pictures.skipped) - 3
        rest = f" and {more} more; {audit_command(folder)} tells more" if more > 0 else ""
        files = len(pictures.skipped) + len(pictures.sources) // max(1, crops)
        count = f"{len(pictures.skipped)} left out of {files} picture files"
        say_once(f"{folder}: {count}: {'; '.join(pictures.skipped[:3])}{rest}")
    return pictures


def audit_command(folder: Path) -> str:
    """The command that tells all about `folder`."""
    return f"`genbench data audit --data=folder --data_dir={folder}`"


def survey(listing: Listing, cut: Cut) -> Generator[Look]:
    """Look at every file once, several at a time, in the order of the listing.

    A picture that repeats an earlier one (its bytes, or without crops its final pixels) comes
    with that one's name as `twin`, and with a reason to leave it out.
    """
    seen: dict[str, str] = {}
    names = [name for name, *_ in listing.files]
    bar = tqdm(total=len(names), unit="picture", leave=False, disable=None)
    with warnings.catch_warnings(), bar:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for look in _in_order(functools.partial(look_at, listing.folder, cut), names):
            bar.update()
            signals.check()
            twin = next((seen[mark] for mark in look.marks if mark in seen), "")
            seen |= dict.fromkeys(look.marks, twin or look.name)
            yield replace(look, twin=twin, reason=f"duplicate of {twin}") if twin else look


def _in_order(function: Callable[[str], Look], names: list[str]) -> Iterator[Look]:
    """`map` in threads, which never run far ahead of whoever takes the results."""
    waiting: deque[Future[Look]] = deque()
    with ThreadPoolExecutor(WORKERS) as pool:
        for name in names:
            waiting.append(pool.submit(function, name))
            if len(waiting) > 4 * WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def near_sources(codes: list[int], thumbs: list[np.ndarray]) -> np.ndarray:
    """Number the pictures, near-duplicates (and theirs in turn) alike.

    Two pictures are near-duplicates if few bits of their difference hashes differ and their
    thumbnails differ by little, compared with 255 and with their own contrast: plain pictures of
    different colours have the same hash, faint ones similar thumbnails.

    Args:
        codes: n difference hashes of 64 bits.
        thumbs: n thumbnails (8, 8, 3) `uint8`.

    Returns:
        (n,) int64: for each picture the first one of its group.
    """
    hashes = np.array(codes, dtype=np.uint64)
    cells = np.array(thumbs, dtype=np.int16).reshape(len(codes), 64, 3)
    means = cells.mean(axis=1, keepdims=True)
    limits = np.minimum(NEAR_LEVELS, 1 + np.abs(cells - means).mean(axis=(1, 2)) / 4)
    levels = means.mean(axis=(1, 2))
    groups = np.arange(len(codes))
    for i in range(1, len(codes)):
        alike = np.bitwise_count(hashes[:i] ^ hashes[i]) <= NEAR_BITS
        near = np.flatnonzero(alike & (np.abs(levels[:i] - levels[i]) < limits[i]))
        if not len(near):
            continue
        joined = groups[:0]
        for some in (near[groups[near] == near], near):  # groups' first pictures, then the others
            some = some[~np.isin(groups[some], joined)]
            gaps = np.abs(cells[some] - cells[i]).mean(axis=(1, 2))
            close = gaps < np.minimum(limits[some], limits[i])
            joined = np.union1d(joined, groups[some[close]])
        if len(joined):
            groups[i] = joined[0]
            groups[:i][np.isin(groups[:i], joined)] = joined[0]
    return groups


def _cache_path(folder: Path, listing: Listing | None, cut: Cut) -> Path:
    """The images' file; its name says folder and cut first, then the files read.

    Without a listing `folder` is an archive, and the one file.
    """
    status = folder.stat()
    files = listing.files if listing else [(folder.name, status.st_size, status.st_mtime_ns)]
    place = json.dumps([CACHE_VERSION, str(folder.resolve()), asdict(cut)])
    read = json.dumps([files, formats()])  # with pillow-heif more of them can be
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in (place, read)]
    return cache_folder() / f"{keys[0][:16]}-{keys[1]}.npy"


def _load(path: Path, side: int) -> Pictures | None:
    """The cache's pictures, or None where it is absent, torn or of something else."""
    try:
        kept = read_npz(path.with_suffix(".npz"))
        sources, own, classes = kept["sources"], kept["own"], kept["classes"]
        about = json.loads(str(kept["about"]))
        images = read_npy(path, (len(sources), 3, side, side), mapped=True)
        content_hash, skipped = str(about["content_hash"]), list(map(str, about["skipped"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    fits = sources.dtype == np.int64 and sources.ndim == 1
    fits = fits and own.dtype.kind == classes.dtype.kind == "U" and classes.shape == sources.shape
    fits = fits and own.shape in ((0,), sources.shape)
    return Pictures(images, sources, own, classes, content_hash, skipped) if fits else None


def _build(path: Path, listing: Listing, cut: Cut) -> Pictures:
    """Decode the folder into the cache: images first, then what makes them valid."""
    others = counted(listing.others)
    ignored = f"; other files ignored: {others}" if others else ""
    say(f"Reading {len(listing.files)} pictures from {listing.folder} once{ignored}")
    try:
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as file:
            arrays, about = _write_images(file, listing, cut)
        with whole(path.with_suffix(".npz")) as file:
            np.savez(file, **arrays, about=np.array(json.dumps(about)))
    except DiskError as error:
        raise UserError(
            f"{path.parent}: the decoded pictures cannot be kept there ({error.reason})"
            "; set $GENBENCH_CACHE to a folder with room for them"
        ) from error
    images = np.load(path, mmap_mode="r")
    _tidy(path)
    return Pictures(images, **arrays, **about)


def _write_images(
    file: BinaryIO, listing: Listing, cut: Cut
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the images as .npy, with plain writes: a full disk is then an error, not a signal.

    Returns:
        `sources`, `own` and `classes`, and the other fields of `Pictures`.

    Raises:
        UserError: Too few usable pictures.
    """
    header = functools.partial(write_header, file, cut.image_size)
    header(0)
    digest = hashlib.sha256()
    broken, twins = list(listing.closed), list[str]()
    codes: list[int] = []
    thumbs: list[np.ndarray] = []
    names: list[str] = []
    with contextlib.closing(survey(listing, cut)) as looks:
        for look in looks:
            if look.images is None or look.thumb is None or look.twin:
                (twins if look.twin else broken).append(f"{look.name}: {look.reason}")
                continue
            file.write(look.images.data)
            digest.update(look.images.data)
            codes.append(look.code)
            thumbs.append(look.thumb)
            names.append(look.name)
    groups = near_sources(codes, thumbs)
    if why := shortfall(listing, len(codes), len(np.unique(groups))):
        raise UserError(f"{listing.folder}: {why}; {audit_command(listing.folder)} tells more")
    header(len(names) * max(1, cut.crops))
    of_file = {
        "sources": groups,
        "own": np.array(own_splits(names), str),
        "classes": np.array(own_classes(names) or [""] * len(names)),
    }
    arrays = {name: np.repeat(array, max(1, cut.crops)) for name, array in of_file.items()}
    return arrays, {"content_hash": digest.hexdigest(), "skipped": broken + twins}


def write_header(file: BinaryIO, side: int, n: int) -> None:
    """(Over)write the .npy header of n images (n, 3, side, side) `uint8`.

    NumPy leaves room for any number along the first axis.
    """
    file.seek(0)
    shape = (n, 3, side, side)
    about = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)


def shortfall(listing: Listing, usable: int, different: int) -> str:
    """Why the usable pictures cannot fill three splits; nothing if they can."""
    if usable >= MIN_PICTURES and different >= MIN_SOURCES:
        return ""
    alike = f", only {different} of them different" if usable >= MIN_PICTURES else ""
    return (
        f"{usable} usable of {len(listing.files)} picture files{alike}; {MIN_PICTURES} are the "
        f"least, as some are held out: add pictures (--crops=K cuts more from each, but needs "
        f"{MIN_PICTURES} as well)"
    )


def _tidy(path: Path) -> None:
    """Delete what the cache held of earlier states of the folder, and what was left unfinished."""
    for old in path.parent.glob(f"{path.name[:17]}*"):
        with contextlib.suppress(OSError):
            age = time.time() - old.stat().st_mtime
            if old.with_suffix(".npy") != path and age > STALE_SECONDS:
                old.unlink()
