"""Data sets by name: `uint8` images and labels on the training device, batched by index.

A new data set is one reader in `DATASETS`. The test split is read only when it is asked for, so
that a search cannot see it.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import platformdirs
import torch
from torch import Tensor

from genbench import UserError
from genbench.data import digits

# (root folder, "train" or "test") -> images (N, C, H, W) uint8, labels (N,) int64
Reader = Callable[[Path, str], tuple[np.ndarray, np.ndarray]]

DATASETS: dict[str, Reader] = {
    "mnist-mini": digits.read_mini,
    "mnist": partial(digits.read_idx_set, "MNIST"),
    "fashion-mnist": partial(digits.read_idx_set, "FashionMNIST"),
}
VAL_FRACTION = 0.1
SPLIT_SEED = 0  # one cut for all runs: the validation images do not vary with the training seed


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W) `uint8` and labels (N,) `int64`, on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: Tensor | slice) -> "Split":
        """The pictures at `index`."""
        return Split(self.images[index], self.labels[index])


@dataclass(frozen=True)
class Data:
    """A data set's splits (`train`, `val`, and `test` if it was asked for)."""

    splits: dict[str, Split]
    content_hash: str  # SHA-256 of the images and labels that train and val were cut from

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.splits["train"].images.shape[1:]
        return channels, height, width


def data_root(data_dir: str = "") -> Path:
    """The folder for data sets: `data_dir`, else $GENBENCH_DATA, else the user's cache."""
    chosen = data_dir or os.environ.get("GENBENCH_DATA")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("genbench")


def load_data(name: str, data_dir: str = "", device: str = "cpu", test: bool = False) -> Data:
    """Read a data set and cut its validation split from the training images.

    Args:
        name: A key of `DATASETS`.
        data_dir: Where data sets lie, see `data_root`.
        device: The device that will hold the images.
        test: Also read the test split.

    Raises:
        UserError: The data set is unknown, absent or damaged.
    """
    if name not in DATASETS:
        raise UserError(f"data={name!r}: unknown; choose one of {', '.join(DATASETS)}")
    root = data_root(data_dir)
    images, labels = DATASETS[name](root, "train")
    content_hash = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    pool = _to_split(images, labels, device)
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(SPLIT_SEED))
    n_val = max(1, round(VAL_FRACTION * len(pool)))
    splits = {"train": pool.take(order[n_val:]), "val": pool.take(order[:n_val])}
    if test:
        splits["test"] = _to_split(*DATASETS[name](root, "test"), device)
    return Data(splits, content_hash)


def _to_split(images: np.ndarray, labels: np.ndarray, device: str) -> Split:
    return Split(torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device))


class Batches:
    """Batches of a split as (x, labels), x (B, C, H, W) `float32` in [0, 1].

    With a seed every pass is a new order, given by (seed, pass); without one the split's own.
    """

    def __init__(self, split: Split, batch_size: int, seed: int | None = None):
        self.split, self.batch_size, self.seed = split, batch_size, seed
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        device = self.split.images.device
        if self.seed is None:
            order = torch.arange(len(self.split), device=device)
        else:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(len(self.split), generator=generator).to(device)
            self.epoch += 1
        for index in order.split(self.batch_size):
            yield self.split.images[index].float().div_(255), self.split.labels[index]
