"""The picture data sets by name: painted, from a folder, Debian's, Kaggle's."""

import contextlib
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from genbench import UserError, signals
from genbench.config import PAINTED, PictureConfig
from genbench.console import first_line, say, say_once
from genbench.data import synthetic
from genbench.data.pictures import read_pictures, write_header
from genbench.data.splits import SPLIT_SEED, split_sources
from genbench.environment import cache_folder
from genbench.files import DiskError, whole, writing
from genbench.npz import read_npy

PROPAGANDA = Path("/usr/share/wallpapers")
KAGGLE = "bryanb/abstract-art-gallery"
CROPS_OF_A_TILE = 200  # propaganda-debian has few, large tiles


@dataclass(frozen=True)
class Album:
    """All pictures of a data set (M, 3, S, S) `uint8`, and which belong to which split."""

    images: np.ndarray
    sources: np.ndarray  # (M,) int64, the picture that each was cut from
    classes: np.ndarray  # (M,) the name of each picture's class, all the same where there are none
    content_hash: str  # SHA-256 of images
    parts: dict[str, np.ndarray]  # train, val, test -> rows of images


def read_synthetic(config: PictureConfig, root: Path) -> Album:
    """Abstract paintings by `synthetic.paint`: seed 0 trains, 1 validates, 2 tests."""
    held_out = config.held_out or PAINTED
    counts = {"train": config.images, "val": held_out, "test": held_out}
    bounds = np.cumsum([0, *counts.values()])
    painted = [_painted(n, config.image_size, seed) for seed, n in enumerate(counts.values())]
    images = np.concatenate(painted)
    parts = {
        name: np.arange(first, last)
        for name, first, last in zip(counts, bounds, bounds[1:], strict=False)
    }
    content_hash = hashlib.sha256(images.tobytes()).hexdigest()
    return Album(images, np.arange(len(images)), np.full(len(images), ""), content_hash, parts)


def _painted(n: int, size: int, seed: int) -> np.ndarray:
    """`paint(n, size, seed)`, kept in the cache under the painter's own hash."""
    brush = hashlib.sha256(Path(synthetic.__file__).read_bytes()).hexdigest()[:12]
    path = cache_folder() / f"synthetic-{brush}-{size}px-seed{seed}-{n}.npy"
    with contextlib.suppress(OSError, ValueError):  # not there, damaged, or of something else
        return read_npy(path, (n, 3, size, size))
    say(f"Painting {n} pictures of {size} px once")
    with tqdm(total=n, unit="picture", leave=False, disable=None) as bar:

        def painted(pictures: int) -> None:
            bar.update(pictures)
            signals.check()

        images = synthetic.paint(n, size, seed, painted)
    try:
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as file:  # not by np.save, whose error does not say why
            write_header(file, size, n)
            file.write(images.data)
    except DiskError as error:
        say_once(
            f"{path.parent}: the pictures cannot be kept ({error.reason}), and are painted anew "
            "every time; set $GENBENCH_CACHE to a folder with room for them"
        )
    return images


def read_own_folder(config: PictureConfig, root: Path) -> Album:
    """The pictures below `data_dir`."""
    return _read_folder(root, config)


def read_propaganda(config: PictureConfig, root: Path) -> Album:
    """The 22 tiles of Debian's propaganda-debian, which wrap at their edges.

    Raises:
        UserError: The package is not installed.
    """
    if not any(PROPAGANDA.glob("*.JPG")):
        raise UserError(
            "data=propaganda-debian: not installed; `apt install propaganda-debian`, "
            "or use --data=synthetic-art"
        )
    cut = replace(config, crops=config.crops or CROPS_OF_A_TILE)
    return _read_folder(PROPAGANDA, cut, wrap=True)


def read_kaggle(config: PictureConfig, root: Path) -> Album:
    """Kaggle's abstract-art gallery, by kagglehub.

    Raises:
        UserError: kagglehub is missing, or Kaggle cannot be reached.
    """
    way_out = "unpack it yourself and use --data=folder --data_dir, or use --data=synthetic-art"
    try:
        import kagglehub
    except ImportError as error:
        raise UserError(
            f"data=abstract-art: needs kagglehub; pip install 'genbench[kaggle]', {way_out}"
        ) from error
    try:
        folder = kagglehub.dataset_download(KAGGLE)
    except Exception as error:  # kagglehub's, requests' and the system's, whatever they are
        raise UserError(
            f"data=abstract-art: {KAGGLE} cannot be had ({first_line(error)}); {way_out}"
        ) from error
    return _read_folder(Path(folder), config)


def _read_folder(folder: Path, config: PictureConfig, wrap: bool = False) -> Album:
    pictures = read_pictures(folder, config.image_size, config.crops, wrap)
    parts = split_sources(pictures.sources, SPLIT_SEED, config.held_out, pictures.own)
    return Album(pictures.images, pictures.sources, pictures.classes, pictures.content_hash, parts)
