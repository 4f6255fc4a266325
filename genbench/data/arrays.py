"""Pictures in files of arrays, as NumPy writes them, with the splits and labels that names tell."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genbench.data.splits import NAMES
from genbench.npz import read_npz


def pictures_in(path: Path) -> Iterator[tuple[list[str], np.ndarray]]:
    """The pictures of a .npy or .npz file, (N, H, W[, C]) or (N, C, H, W).

    Yields:
        The folders that a picture belongs in, of its split (`x_train`) and of its label (`y_train`)
        where there are such; and the picture, `uint8` (H, W) or (H, W, 3 or 4).

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is damaged, holds objects, or no pictures.
    """
    if path.suffix.lower() == ".npz":
        arrays = read_npz(path)
    else:
        arrays = {"": np.load(path, mmap_mode="r", allow_pickle=False)}
    images = {name: array for name, array in arrays.items() if array.ndim in (3, 4)}
    if not images:
        raise ValueError("no array of pictures (N, H, W) or (N, H, W, 3) in it")
    others = {name: array for name, array in arrays.items() if name not in images}
    for name, array in images.items():
        split = [NAMES[word] for word in _words(name) if word in NAMES][:1]
        labels = _labels_of(name, array, others)
        for i, picture in enumerate(array):
            yield [*split, *([] if labels is None else [str(labels[i])])], _as_picture(picture)


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


def _as_picture(array: np.ndarray) -> np.ndarray:
    """One picture as `uint8` (H, W) or (H, W, 3 or 4); numbers up to 1 are shares of white."""
    if array.dtype.kind == "f":
        array = array * 255 if np.nanmax(array) <= 1 else array
        array = np.nan_to_num(array).round().clip(0, 255)
    elif array.dtype != np.uint8:
        raise ValueError(f"pictures of {array.dtype}, not of bytes or of shares of white")
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.ndim == 3 and array.shape[2] not in (3, 4):
        raise ValueError(f"pictures of shape {array.shape}, not (H, W) or (H, W, 3)")
    return np.ascontiguousarray(array.astype(np.uint8))
