"""Sets like MNIST as archives have them: IDX files by several names, CSV with the label first, npz.

What is read decides by its first bytes how it is read, and is bounded: a small file can say that it
unpacks to a large one.
"""

import gzip
import math
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from genbench import UserError
from genbench.console import say
from genbench.npz import read_npz

PLACES = ("{name}/raw", "{name}", "raw", ".")  # in the data's folder; torchvision's first
NAMES = {  # of archives, by torchvision's name of the set
    "MNIST": ("mnist",),
    "FashionMNIST": ("fashion-mnist", "fashion_mnist", "fashionmnist"),
}
IDX = {"train": "train", "test": "t10k"}  # how IDX files call the splits
MOST_IMAGES, LARGEST_SIDE = 1_000_000, 64  # of a set like MNIST, which has 60,000 of 28 px
MOST_BYTES = 2**30
ENDINGS = ("-ubyte", "-ubyte.gz", ".csv", ".npz")  # of the files' names
GZIP = b"\x1f\x8b"

# "train" or "test" -> images (N, H, W) uint8, labels (N,)
Reader = Callable[[str], tuple[np.ndarray, np.ndarray]]


def find_set(name: str, folders: list[Path]) -> tuple[Path, Reader] | None:
    """What was found of the set in the first of these folders that has any, and its reader.

    Args:
        name: MNIST or FashionMNIST.
        folders: Where to look; not below them.
    """
    for folder in folders:
        if _idx_file(folder, "train", 3):
            return folder, lambda split, folder=folder: _read_idx_pair(folder, split)
        for stem in NAMES[name]:
            if (path := folder / f"{stem}.npz").is_file():
                return path, lambda split, path=path: _read_arrays(path, split)
            for names in (f"{stem}_{{}}.csv", f"{stem}-{{}}.csv", "{}.csv"):
                if (folder / names.format("train")).is_file():
                    path = folder / names
                    return folder, lambda split, path=path: _read_table(path, split)
    return None


def places(name: str, root: Path) -> list[Path]:
    """Where below `root` a set may lie."""
    return [root / place.format(name=name) for place in PLACES]


def _idx_file(folder: Path, split: str, axes: int) -> Path | None:
    """The file of a split's images (3 axes) or labels (1), if there is one.

    With a hyphen or a dot before idx, gzipped or not, or in a folder of its own name.
    """
    part = f"{IDX[split]}-{'images' if axes == 3 else 'labels'}"
    stems = [f"{part}{mark}idx{axes}-ubyte" for mark in "-."]
    files = [f"{stem}{end}" for stem in stems for end in ("", ".gz")]
    paths = [folder / file for file in files]
    paths += [folder / place / file for place in (*stems, part) for file in files]
    return next((path for path in paths if path.is_file()), None)


def _read_idx_pair(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    return _paired(folder, *(_read_idx(folder, split, axes) for axes in (3, 1)))


def _read_idx(folder: Path, split: str, axes: int) -> np.ndarray:
    """An IDX file of unsigned bytes, plain or gzipped (format: LeCun's MNIST page).

    Its header decides, before anything else is unpacked, how many bytes are read.
    """
    path = _idx_file(folder, split, axes)
    if path is None:
        kind = "images-idx3" if axes == 3 else "labels-idx1"
        raise UserError(f"{folder}: {IDX[split]}-{kind}-ubyte is missing beside the others")
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == GZIP
            file.seek(0)
            return _unpack(gzip.open(file) if zipped else file, axes)  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise _unreadable(path, error) from error


def _unpack(file: BinaryIO, axes: int) -> np.ndarray:
    header = file.read(4 + 4 * axes)
    if header[:4] != bytes([0, 0, 8, axes]) or len(header) < 4 + 4 * axes:
        raise ValueError(f"truncated or no IDX file of bytes in {axes} dimensions")
    shape = np.frombuffer(header[4:], dtype=">u4").tolist()
    _refuse_large(shape)
    content = file.read(math.prod(shape))
    if len(content) < math.prod(shape) or file.read(1):
        raise ValueError(f"truncated, or not of the shape {shape} that its header says")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape).copy()


def _read_arrays(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Keras' archive: x_train (N, H, W), y_train (N,), x_test and y_test."""
    try:
        arrays = read_npz(path, MOST_BYTES)
        for name in (f"x_{split}", f"y_{split}"):
            if name not in arrays:
                raise ValueError(f"no array {name}, but {', '.join(sorted(arrays)) or 'none'}")
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        if images.dtype != np.uint8 or images.ndim != 3 or labels.dtype.kind not in "iu":
            raise ValueError(f"x_{split} is {images.dtype} {images.shape}, wanted uint8 (N, H, W)")
        _refuse_large(list(images.shape))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return _paired(path, images, labels)


def _read_table(names: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a label and H * W pixels, with or without a line of titles."""
    path = names.with_name(names.name.format(split))
    try:
        with path.open("rb") as file:
            titles = file.readline(100 * LARGEST_SIDE**2).decode("ascii", "replace").split(",")
        side = math.isqrt(len(titles) - 1)
        if math.isqrt(len(titles)) ** 2 == len(titles) > 1:
            raise ValueError("its rows have no label before the pixels")
        if side**2 != len(titles) - 1 or not side:
            raise ValueError(f"rows of {len(titles)} numbers are no label and a square of pixels")
        _refuse_large([path.stat().st_size // (2 * len(titles)), side, side])
        say(f"Reading {path}")
        first = 0 if titles[0].strip().isdigit() else 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # no rows
            rows = np.loadtxt(path, np.uint8, delimiter=",", skiprows=first, ndmin=2)
        if rows.shape[1] != len(titles):
            raise ValueError(f"rows of {rows.shape[1]} numbers below {len(titles)} titles")
    except (OSError, ValueError, UserWarning) as error:
        raise _unreadable(path, error) from error
    return _paired(path, rows[:, 1:].reshape(-1, side, side), rows[:, 0])


def _paired(place: Path, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(images) or labels.shape != images.shape[:1]:
        raise UserError(f"{place}: images {images.shape} and labels {labels.shape} do not match")
    return images, labels


def _refuse_large(shape: list[int]) -> None:
    """Raise `ValueError` for a shape that no set like MNIST has."""
    n, *sides = shape
    if n > MOST_IMAGES or max(sides, default=0) > LARGEST_SIDE or math.prod(shape) > MOST_BYTES:
        raise ValueError(
            f"{math.prod(shape):,} bytes of shape {shape} by its header, where {MOST_IMAGES:,} "
            f"images of {LARGEST_SIDE} px and {MOST_BYTES:,} bytes are the most"
        )


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path}: cannot be read ({error}); put a whole copy in its place, or use --data=mnist-mini"
    )
