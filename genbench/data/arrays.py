"""Pictures in files of arrays, as NumPy writes them, with the splits and labels that names tell."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from genbench.console import first_line
from genbench.data.splits import NAMES
from genbench.npz import read_npz


def read_arrays(path: Path, name: str) -> dict[str, np.ndarray]:
    """The arrays of a .npz file, or that of a .npy file by this name, mapped.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is damaged, or holds objects.
    """
    if path.suffix.lower() == ".npz":
        return read_npz(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # NumPy raises almost anything on damaged files
        raise ValueError(first_line(error)) from error
    if not isinstance(array, np.ndarray):
        raise ValueError("no array, but an archive of some")
    return {name: array}


def pictures_in(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[list[str], np.ndarray]]:
    """The pictures in arrays by name, (N, H, W[, C]) or (N, C, H, W).

    Yields:
        The folders that a picture belongs in, of its split (`x_train`) and of its label (`y_train`)
        where there are such; and the picture, `uint8` (H, W) or (H, W, 3 or 4).

    Raises:
        ValueError: There are none, or some of a kind that is not read; before any is given.
    """
    images = {name: array for name, array in arrays.items() if array.ndim in (3, 4)}
    if not images:
        raise ValueError("no array of pictures (N, H, W) or (N, H, W, 3) in it")
    for array in images.values():
        _check(array)
    others = {name: array for name, array in arrays.items() if name not in images}
    for name, array in images.items():
        split = [NAMES[word] for word in _words(name) if word in NAMES][:1]
        labels, (low, high) = _labels_of(name, array, others), _range(array)
        for i, picture in enumerate(array):
            folders = [*split, *([] if labels is None else [str(labels[i])])]
            yield folders, _as_picture(picture, low, high)


def _check(array: np.ndarray) -> None:
    """Raise `ValueError` for an array that is none of pictures."""
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise ValueError(f"pictures of {array.dtype}, not of bytes or of shares of white")
    shape, picture = array.shape, array.shape[1:]
    if array.ndim == 3 and shape[2] in (3, 4):
        raise ValueError(f"an array of shape {shape} is one picture, not (N, H, W) or (N, H, W, 3)")
    if array.ndim == 4 and picture[2] not in (1, 3, 4) and picture[0] not in (1, 3):
        raise ValueError(f"pictures of shape {picture}, not (H, W) or (H, W, 3)")


def _range(array: np.ndarray) -> tuple[float, float]:
    """What is black and what is white: of numbers up to 1 themselves, else as in bytes."""
    if array.dtype.kind != "f" or not array.size:
        return 0.0, 255.0
    low, high = float(np.nanmin(array)), float(np.nanmax(array))
    return (-1.0 if low < 0 else 0.0, 1.0) if high <= 1 and low >= -1 else (0.0, 255.0)


def _words(name: str) -> list[str]:
    return re.split(r"[\W_]+", name.lower())


def _labels_of(name: str, images: np.ndarray, others: dict[str, np.ndarray]) -> np.ndarray | None:
    """The labels (N,) of an array: whole numbers or words, as many, and named most alike."""
    fit = [
        other
        for other, array in others.items()
        if array.shape in ((len(images),), (len(images), 1)) and array.dtype.kind in "iuU"
    ]
    if not fit:
        return None
    words = set(_words(name))
    return others[max(fit, key=lambda other: len(words & set(_words(other))))].ravel()


def _as_picture(array: np.ndarray, low: float, high: float) -> np.ndarray:
    """One picture as `uint8` (H, W) or (H, W, 3 or 4)."""
    if array.dtype.kind == "f":
        array = np.nan_to_num((array.astype(np.float64) - low) * (255 / (high - low)))
        array = array.round().clip(0, 255)
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    return np.ascontiguousarray(array.astype(np.uint8))
