"""Data sets by name: `uint8` images and labels on the training device, batched by index.

A new data set is one reader in `LABELLED` or in `PICTURES`, and its name in `Config.data_sets`. The
test split of the first is read only when it is asked for, so that a search cannot see it; that of
pictures is set aside.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genbench import UserError
from genbench.config import Config, PictureConfig
from genbench.data import art, cifar, digits
from genbench.data.splits import SPLIT_SEED
from genbench.environment import data_root

# (root folder, "train" or "test") -> images (N, C, H, W) uint8, labels (N,) int64
Reader = Callable[[Path, str], tuple[np.ndarray, np.ndarray]]

LABELLED: dict[str, Reader] = {
    "mnist-mini": digits.read_mini,
    "mnist": partial(digits.read_set, "MNIST"),
    "fashion-mnist": partial(digits.read_set, "FashionMNIST"),
    "cifar10": cifar.read_cifar,
}
# of classes that are not called by their number
NAMES = {"fashion-mnist": digits.CLOTHES, "cifar10": cifar.CLASSES}
PICTURES: dict[str, Callable[[PictureConfig, Path], art.Album]] = {
    "synthetic-art": art.read_synthetic,
    "abstract-art": art.read_kaggle,
    "propaganda-debian": art.read_propaganda,
    "folder": art.read_own_folder,
}
VAL_FRACTION = 0.1
MOST_CLASSES = 256
STREAM_BYTES = 4 * 2**30  # images that need more stay in the file and are read as they are needed


@dataclass(frozen=True)
class Split:
    """The images `pool[rows]` with their labels and sources (N,) `int64`, on the training device.

    The splits of a data set share one pool (M, C, H, W) `uint8`: on the device too, or mapped from
    a file where it would not fit. A label is the number of a class, 0 where there are none; a
    source that of the picture which an image was cut from.
    """

    pool: Tensor
    rows: Tensor
    labels: Tensor
    sources: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def streamed(self) -> bool:
        """Whether the images are read from a file as they are needed."""
        return self.pool.nbytes > STREAM_BYTES

    def take(self, index: Tensor | slice) -> "Split":
        """The pictures at `index`, on the pool's device."""
        there = index.to(self.labels.device) if isinstance(index, Tensor) else index
        return Split(self.pool, self.rows[index], self.labels[there], self.sources[there])

    def of_class(self, label: int) -> "Split":
        """The pictures of a class."""
        return self.take((self.labels == label).nonzero()[:, 0].to(self.rows.device))

    def spread(self, n: int) -> Tensor:
        """The indices of at most n pictures, evenly spaced: neighbours may share a source."""
        n = min(n, len(self))
        return torch.arange(n, device=self.rows.device) * len(self) // n

    @property
    def images(self) -> Tensor:
        """All images (N, C, H, W) `uint8` on the training device."""
        return self.pool[self.rows].to(self.labels.device)


@dataclass(frozen=True)
class Data:
    """A data set's splits (`train`, `val`, and `test` if it was asked for)."""

    splits: dict[str, Split]
    content_hash: str  # SHA-256 of the images and labels that train and val were cut from
    classes: tuple[str, ...] = ()  # their names, by label; empty: there are none

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.splits["train"].pool.shape[1:]
        return channels, height, width


def load_data(config: Config, device: str = "cpu") -> Data:
    """Read a configuration's data set and cut its splits.

    Args:
        config: Names the data set; of digits `test` decides whether the test split is read.
        device: The device that will hold the images.

    Raises:
        UserError: The data set is absent, damaged or too small for a batch.
    """
    if config.data in LABELLED:
        data = _load_labelled(config, device)
    else:
        assert isinstance(config, PictureConfig)  # others do not know these data sets
        data = _load_pictures(config, device)
    n = len(data.splits["train"])
    if config.whole_batches and config.batch_size > n:
        raise UserError(
            f"batch_size={config.batch_size}: more than the {n} training pictures; "
            f"use --batch_size={n} or less"
        )
    if config.conditional:
        _check_classes(config, data)
    return data


def count_classes(data: Data) -> dict[str, int]:
    """How many training pictures each class has, by its name."""
    counts = torch.bincount(data.splits["train"].labels, minlength=len(data.classes))
    return dict(zip(data.classes, counts.tolist(), strict=False))


def _check_classes(config: Config, data: Data) -> None:
    """Raise `UserError` where a class that is to be learned has no pictures, or there are none."""
    if len(data.classes) < 2:
        raise UserError(
            f"conditional=True: {config.data} has no classes; those of a folder are its "
            "subfolders, such as cubism/ and fauvism/, each with pictures"
        )
    if lacking := [name for name, n in count_classes(data).items() if not n]:
        raise UserError(
            f"conditional=True: no training pictures of {', '.join(lacking[:5])}; add some, or "
            "leave the class out"
        )


def _load_labelled(config: Config, device: str) -> Data:
    root, read = data_root(config.data_dir), LABELLED[config.data]
    if getattr(config, "binarize", "") == "static":
        read = partial(_binarized, read)
    images, labels = read(root, "train")
    _check_labels(config, labels)
    classes = NAMES.get(config.data) or tuple(map(str, range(max(10, labels.max() + 1))))
    content_hash = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    side = config.image_size if isinstance(config, PictureConfig) else 0
    pool = _to_split(images, labels, device, side)
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(SPLIT_SEED))
    n_val = max(1, round(VAL_FRACTION * len(pool)))
    splits = {"train": pool.take(order[n_val:]), "val": pool.take(order[:n_val])}
    if config.test:
        images, labels = read(root, "test")
        _check_labels(config, labels, len(classes))
        splits["test"] = _to_split(images, labels, device, side)
    return Data(splits, content_hash, classes)


def _binarized(read: Reader, root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """A split with pixels drawn once as 0 or 255, with the grey values as probabilities.

    As Larochelle & Murray 2011 ("The neural autoregressive distribution estimator") did; which
    pixels theirs are only their files say, these are drawn with seeds of our own.
    """
    images, labels = read(root, split)
    rng = np.random.default_rng([SPLIT_SEED, split == "test"])
    drawn = [rng.random(image.shape) * 255 < image for image in images]
    return np.stack(drawn).astype(np.uint8) * np.uint8(255), labels


def _check_labels(config: Config, labels: np.ndarray, count: int = 0) -> None:
    """Refuse labels that are no numbers of so many classes; 0: of those there can be."""
    most = count or len(NAMES.get(config.data, ())) or MOST_CLASSES
    if labels.min() < 0 or labels.max() >= most:
        raise UserError(
            f"data={config.data}: labels from {labels.min()} to {labels.max()}, of {most} classes "
            "at most; put a whole copy in its place"
        )


def _to_split(images: np.ndarray, labels: np.ndarray, device: str, side: int) -> Split:
    """Labelled images as a split; with a side, black is put around them up to it."""
    if side:
        margin = side - images.shape[-1]
        if not 0 <= margin < images.shape[-1] // 2:
            raise UserError(f"image_size={side}: its pictures have {images.shape[-1]} px, use 32")
        edges = (margin // 2, margin - margin // 2)
        images = np.pad(images, [(0, 0), (0, 0), edges, edges])
    pool = torch.from_numpy(images).to(device)
    rows = torch.arange(len(pool), device=device)
    return Split(pool, rows, torch.from_numpy(labels).to(device), rows)


def _load_pictures(config: PictureConfig, device: str) -> Data:
    album = PICTURES[config.data](config, data_root(config.data_dir))
    small = album.images.nbytes <= STREAM_BYTES
    pool = torch.from_numpy(np.array(album.images)).to(device) if small else _mapped(album.images)
    classes, labels = np.unique(album.classes, return_inverse=True)
    sources, numbers = torch.from_numpy(album.sources), torch.from_numpy(labels)
    splits = {}
    for name, rows in album.parts.items():
        if name == "test" and not config.test:
            continue
        index = torch.from_numpy(rows)
        about = (part[index].to(device) for part in (numbers, sources))
        splits[name] = Split(pool, index.to(pool.device), *about)
    if len(splits["train"].labels.unique()) < 2:
        return Data(splits, album.content_hash)
    named = repr([album.content_hash, classes.tolist(), labels.tolist()])
    return Data(splits, hashlib.sha256(named.encode()).hexdigest(), tuple(map(str, classes)))


def _mapped(images: np.ndarray) -> Tensor:
    """A mapped file's array, read page by page, writes stay private; what was painted, as it is."""
    if not isinstance(images, np.memmap):
        return torch.from_numpy(images)
    assert images.filename
    again = np.memmap(images.filename, np.uint8, "c", images.offset, images.shape)
    return torch.from_numpy(again)


class Batches:
    """Batches of a split as (x, labels), x (B, C, H, W) `float32` in [0, 1].

    With a seed every pass is a new order, given by (seed, pass); without one the split's own.
    `whole` leaves out the images that do not fill a batch. A split that is streamed from a file is
    read one batch ahead. `go_to` chooses the pass, and its place, that comes next.
    """

    def __init__(self, split: Split, batch_size: int, seed: int | None = None, whole: bool = False):
        self.split, self.batch_size, self.seed, self.whole = split, batch_size, seed, whole
        self.go_to(0)

    def go_to(self, step: int) -> None:
        """Let the next pass begin where `step` batches were read before, in mid-epoch too."""
        self.epoch, self.done = divmod(step, len(self))

    def __len__(self) -> int:
        return count_batches(len(self.split), self.batch_size, self.whole)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self.seed is None:
            order = torch.arange(len(self.split))
        else:
            rng = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(len(self.split), generator=rng)
        parts = order.to(self.split.pool.device).split(self.batch_size)[self.done : len(self)]
        self.epoch, self.done = self.epoch + 1, 0
        return self._ahead(parts) if self.split.streamed else map(self._read, parts)

    def _read(self, index: Tensor, images: Tensor | None = None) -> tuple[Tensor, Tensor]:
        part = self.split.take(index)
        x = part.images if images is None else images.to(part.labels.device)
        return x.float().div_(255), part.labels

    def _ahead(self, parts: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches, the next one being read while this one is used.

        By NumPy: torch would start OpenMP threads for the reader beside those of the training,
        which then wait for each other by the system's calls, at a third of the speed.
        """
        pool, rows = self.split.pool.numpy(), self.split.rows.numpy()

        def read(index: Tensor) -> np.ndarray:
            return pool[rows[index.numpy()]]

        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(read, parts[0])
            for index, following in zip_longest(parts, parts[1:]):
                images = torch.from_numpy(coming.result())
                if following is not None:
                    coming = reader.submit(read, following)
                yield self._read(index, images)


def count_batches(n: int, batch_size: int, whole: bool) -> int:
    """How many batches n images make; `whole` leaves out one that they do not fill."""
    return n // batch_size if whole else -(-n // batch_size)


def steps_per_epoch(n_train: int, config: Config) -> int:
    """How many steps a configuration takes over so many training images."""
    return count_batches(n_train, config.batch_size, config.whole_batches)


def count_sources(data: Data, split: str) -> int:
    """Of how many different pictures a split's images were cut."""
    return len(data.splits[split].sources.unique())
