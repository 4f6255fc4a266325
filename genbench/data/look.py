"""One look at a picture file: what it is, upright, in RGB, cut to squares."""

import contextlib
import hashlib
import os
import stat
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageOps, UnidentifiedImageError

from genbench import UserError
from genbench.data.archive import is_archive, open_archive

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif"),
)
NAMED = 6  # kinds of other files
MIN_SIDE = 8  # pixels
LEAST_CROP = 0.25  # of the short side
STEP = 2  # grey levels: less between two neighbours is noise to the difference hash


@dataclass(frozen=True)
class Cut:
    """How squares are cut: the arguments of `genbench.data.pictures.read_pictures`."""

    image_size: int
    crops: int = 0
    wrap: bool = False


@dataclass(frozen=True)
class Listing:
    """The picture files below a folder, and what else lies there."""

    folder: Path
    files: list[tuple[str, int, int]]  # sorted: name below the folder, bytes, mtime in ns
    others: Counter[str]  # files that are no pictures, by suffix, and all that is hidden
    closed: list[str]  # "NAME: reason" of folders that cannot be listed


@dataclass(frozen=True)
class Look:
    """What a look at a file found."""

    name: str
    reason: str = ""  # why the file is left out, if it is
    twin: str = ""  # the earlier file that it repeats
    kind: str = ""  # "JPEG", "PNG", ...
    mode: str = ""  # Pillow's, as stored
    size: tuple[int, int] = (0, 0)  # width and height in pixels
    traits: frozenset[str] = frozenset()  # alpha, animated, rotated, deep, grey
    marks: tuple[str, ...] = ()  # hashes; a common one means the same picture
    code: int = 0  # difference hash of 64 bits
    thumb: np.ndarray | None = None  # (8, 8, 3) uint8
    images: np.ndarray | None = None  # (1 or crops, 3, S, S) uint8


def list_pictures(folder: Path) -> Listing:
    """The picture files below `folder` or in an archive; links are followed, each folder once.

    Raises:
        UserError: `folder` is no folder and no archive, or has no picture files.
    """
    if is_archive(folder):
        return _in_archive(folder)
    if not folder.is_dir():
        wrong = "not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {wrong}; name a folder of pictures with --data_dir")
    files: list[tuple[str, int, int]] = []
    closed: list[OSError] = []
    visited: set[str] = set()
    others = Counter[str]()
    for parent, folders, names in os.walk(folder, onerror=closed.append, followlinks=True):
        if os.path.realpath(parent) in visited:
            folders.clear()
            continue
        visited.add(os.path.realpath(parent))
        others["hidden"] += sum(name[0] == "." for name in folders)
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in names:
            path = os.path.join(parent, name)
            status = _status(path)
            if status and name[0] != "." and name.lower().endswith(SUFFIXES):
                files.append((os.path.relpath(path, folder), *status))
            else:
                suffix = printable(os.path.splitext(name)[1].lower())
                others["hidden" if name[0] == "." else suffix or "no suffix"] += 1
    refused = [f"{printable(os.path.relpath(e.filename, folder))}: {e.strerror}" for e in closed]
    return _some(Listing(folder, sorted(files), others, refused))


def _in_archive(path: Path) -> Listing:
    """The pictures of a zip or tar archive."""
    archive, others = open_archive(path), Counter[str]()
    files: list[tuple[str, int, int]] = []
    for name in archive.members:
        hidden = any(part[0] == "." or part == "__MACOSX" for part in PurePosixPath(name).parts)
        if name.lower().endswith(SUFFIXES) and not hidden:
            files.append((name, archive.size(name), 0))
        else:
            suffix = printable(os.path.splitext(name)[1].lower())
            others["hidden" if hidden else suffix or "no suffix"] += 1
    return _some(Listing(path, sorted(files), others, []))


def _some(listing: Listing) -> Listing:
    """The listing, unless it is empty."""
    if not listing.files:
        raise UserError(
            f"{listing.folder}: no picture files ({', '.join(SUFFIXES)}) among its files "
            f"({counted(listing.others) or 'none'}); name a folder of pictures with --data_dir"
        )
    return listing


def opened(folder: Path, name: str) -> BinaryIO:
    """A picture file of a folder or an archive."""
    return open_archive(folder).open(name) if is_archive(folder) else (folder / name).open("rb")


def counted(others: Counter[str]) -> str:
    """What lies there beside pictures, most first."""
    order = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{what} {n}" for what, n in order if n]
    more = [f"{len(named) - NAMED} kinds more"] if len(named) > NAMED else []
    return ", ".join(named[:NAMED] + more)


@cache
def formats() -> tuple[str, ...]:
    """What can be read, by Pillow's names: HEIF too where pillow-heif is installed."""
    try:
        import pillow_heif
    except ImportError:
        return FORMATS
    pillow_heif.register_heif_opener()
    return (*FORMATS, "HEIF")


def _status(path: str) -> tuple[int, int] | None:
    """Bytes and mtime in ns; (-1, 0) for a dangling link; nothing for pipes and the like."""
    try:
        status = os.stat(path)
    except OSError:
        return -1, 0
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def printable(text: str) -> str:
    """The text on one line, whatever bytes a file's name is made of."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def look_at(folder: Path, cut: Cut, name: str) -> Look:
    """Decode the file `name` of `folder` and cut its squares.

    Pillow's DecompressionBombWarning must be an error here. An unusable file gives a look with a
    `reason` and without images, never an exception.
    """
    look = Look(printable(name))
    try:
        with opened(folder, name) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            if not file.seek(0, os.SEEK_END):
                return replace(look, reason="empty file")
            file.seek(0)
            with Image.open(file, formats=formats()) as image:
                kind = "JPEG" if image.format == "MPO" else image.format or ""
                look = replace(look, kind=kind, mode=image.mode, size=image.size)
                return _cut(image, cut, look, digest)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return replace(look, reason=f"bomb? more than {Image.MAX_IMAGE_PIXELS} pixels")
    except UnidentifiedImageError:
        heif = name.lower().endswith((".heic", ".heif")) and "HEIF" not in formats()
        known = f"not {', '.join(formats()[:-1])} or {formats()[-1]}"
        return replace(look, reason="HEIF: pip install 'genbench[heif]'" if heif else known)
    except Exception as error:  # decoders raise almost anything on damaged files
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return replace(look, reason=printable(reason))


def _cut(image: Image.Image, cut: Cut, look: Look, digest: str) -> Look:
    """Complete the look at an open picture; its file's hash `digest` seeds the random squares."""
    short = min(image.size)
    if short < MIN_SIDE:
        return replace(look, reason=f"{image.width}x{image.height} pixels: below {MIN_SIDE}")
    draws = np.random.default_rng(int(digest, 16)).random((cut.crops, 3))
    draws[:, 0] = min(1.0, max(cut.image_size / short, LEAST_CROP)) ** draws[:, 0]
    shrink = int(draws[:, 0].min(initial=1.0) * short) // (2 * cut.image_size)
    if shrink > 1:  # a JPEG is decoded at 1/2, 1/4 or 1/8, but at twice the final size or more
        image.draft(None, (image.width // shrink, image.height // shrink))
    packed = str(getattr(image, "tile", "")) if look.kind in ("PNG", "TIFF") else ""
    deep = ";16" in packed or image.mode in ("I", "F")
    rotated = _decode_upright(image)
    rgb, alpha = _to_rgb(image)
    squares = [_random_square(rgb, draw, cut.wrap) for draw in draws] or [_centre_square(rgb)]
    size = (cut.image_size, cut.image_size)
    squares = [square.resize(size, Image.Resampling.LANCZOS) for square in squares]
    images = np.ascontiguousarray(np.stack([np.asarray(s) for s in squares]).transpose(0, 3, 1, 2))
    code, thumb = _signature(rgb if cut.crops else squares[0])
    pixels = () if cut.crops else (hashlib.sha256(images.tobytes()).hexdigest(),)
    signs = {
        "alpha": alpha,
        "animated": look.kind != "JPEG" and _is_animated(image),
        "rotated": rotated,
        "deep": deep,
        "grey": np.ptp(images, axis=1).max() <= STEP,
    }
    return replace(
        look,
        traits=frozenset(name for name, true in signs.items() if true),
        marks=(digest, *pixels),
        code=code,
        thumb=thumb,
        images=images,
    )


def _decode_upright(image: Image.Image) -> bool:
    """Decode in place and apply EXIF's orientation; whether there was one to apply."""
    rotated = image.format == "TIFF" and _orientation(image) > 1  # its decoder applies it itself
    image.load()
    rotated = rotated or _orientation(image) > 1
    with contextlib.suppress(Exception):  # damaged EXIF
        ImageOps.exif_transpose(image, in_place=True)
    return rotated


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF
        return 1


def _is_animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged second frame
        return True


def _to_rgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """The picture in RGB, on white where it is transparent, and whether it is anywhere."""
    if image.mode[0] in "IF":
        image = _to_eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB"), False
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB"), False
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB"), True


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """A grey picture of mode I;16, I or F, scaled by the least usual range that holds it."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
    usual = {"I": [255, 65535], "F": [1, 255, 65535]}.get(image.mode, [65535])
    low, high = min(0.0, float(values.min())), float(values.max())
    top = next((top for top in usual if high <= top), high)
    return Image.fromarray(np.rint((values - low) * (255 / (top - low))).astype(np.uint8))


def _centre_square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    x, y = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((x, y, x + side, y + side))


def _random_square(image: Image.Image, draw: np.ndarray, wrap: bool) -> Image.Image:
    """The square of `draw`: part of the short side, place from left and from the top in [0, 1)."""
    part, u, v = draw.tolist()
    side = max(1, round(part * min(image.size)))
    if wrap:
        image = ImageChops.offset(image, -int(u * image.width), -int(v * image.height))
        return image.crop((0, 0, side, side))
    x, y = int(u * (image.width - side + 1)), int(v * (image.height - side + 1))
    return image.crop((x, y, x + side, y + side))


def _signature(image: Image.Image) -> tuple[int, np.ndarray]:
    """Difference hash of 64 bits (is a cell brighter than its left neighbour?) and a thumbnail."""
    small = image.resize((72, 64), Image.Resampling.BOX)
    grey = np.asarray(small.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    code = int.from_bytes(np.packbits(np.diff(grey, axis=1) > STEP).tobytes(), "big")
    return code, np.asarray(small.resize((8, 8), Image.Resampling.BOX))
