"""CIFAR-10 (Krizhevsky 2009) as its archives have it, binary or Python's, unpacked or not.

Python's batches are pickles. What a pickle names is not imported: the two things of NumPy that they
are made of are read by stand-ins that hold bytes.
"""

import io
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from genbench import UserError
from genbench.console import first_line
from genbench.data.archive import close_archives, is_archive, open_archive
from genbench.data.digits import download, unreachable

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
SIDE, PIXELS = 32, 3 * 32 * 32
MOST_REMEMBERED = 1_000_000  # of the things in a pickle
LARGEST = 2**26  # bytes of a batch, which has 10,000 pictures in half of that
PARTS = {  # how its files are called, without `.bin`
    "train": [f"data_batch_{i}" for i in range(1, 6)],
    "test": ["test_batch"],
}
FORMS = {  # folder of an archive: the archives, and what ends its files' names
    "cifar-10-batches-bin": (("cifar-10-binary.tar.gz", "cifar-10-binary.tar"), ".bin"),
    "cifar-10-batches-py": (("cifar-10-python.tar.gz", "cifar-10-python.tar"), ""),
}
PLACES = ("", "CIFAR10", "cifar10", "cifar-10")  # below the data's folder

Read = Callable[[str], bytes]  # a file's name -> its bytes


def read_cifar(root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10's pictures (N, 3, 32, 32) `uint8` and labels (N,) `int64` of "train" or "test".

    Raises:
        UserError: The files are neither on disk nor downloadable, or damaged.
    """
    place, suffix, read = _find(root)
    batches = []
    for name in PARTS[split]:
        try:
            content = read(name + suffix)
            batches.append(_of_binary(content) if suffix else _of_pickle(content))
        except Exception as error:  # archives and pickles raise almost anything
            raise UserError(
                f"{place}: {name + suffix} cannot be read ({first_line(error)}); put a whole copy "
                "in its place, or use another --data"
            ) from error
    close_archives()
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return images, labels.astype(np.int64)


def on_disk(root: Path) -> tuple[Path, str, Read] | None:
    """Where the set lies, what ends its files' names, and what reads them; None: it is not there.

    Batches in a folder of their own, or straight in the data's; else the archives as they come.
    `root` may be one itself.
    """
    if is_archive(root):
        for folder, (_, suffix) in FORMS.items():
            if f"{folder}/{PARTS['train'][0]}{suffix}" in open_archive(root).members:
                return root, suffix, lambda name, of=folder: _member(root, of, name)
        raise UserError(
            f"{root}: has no batches of CIFAR-10, such as those in {' or '.join(FORMS)}"
        )
    for place in (root / place for place in PLACES):
        for folder, (archives, suffix) in FORMS.items():
            for unpacked in (place / folder, place):
                if (unpacked / f"{PARTS['train'][0]}{suffix}").is_file():
                    return unpacked, suffix, lambda name, at=unpacked: _bytes_of(at / name)
            for archive in (place / name for name in archives):
                if archive.is_file():
                    return (
                        archive,
                        suffix,
                        lambda name, at=archive, of=folder: _member(at, of, name),
                    )
    return None


def _bytes_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return _bounded(file.read(LARGEST + 1))


def _member(path: Path, folder: str, name: str) -> bytes:
    return _bounded(open_archive(path).open(f"{folder}/{name}").read(LARGEST + 1))


def _bounded(content: bytes) -> bytes:
    if len(content) > LARGEST:
        raise ValueError(f"more than {LARGEST:,} bytes")
    return content


def _find(root: Path) -> tuple[Path, str, Read]:
    """What is on disk, downloaded if it must be."""
    if found := on_disk(root):
        return found
    from torchvision.datasets import CIFAR10  # slow to import, and needed for a download only

    reason = unreachable(CIFAR10.url) or download(CIFAR10, root)
    found = on_disk(root)
    if not found:
        names = " or ".join(archives[0] for archives, _ in FORMS.values())
        raise UserError(
            f"cifar10: not on disk and not downloadable ({reason or 'nothing came'}); connect to "
            f"the network, put {names} or what it unpacks to into {root}, or use --data=mnist-mini"
        )
    return found


def _of_binary(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Records of a label and 3 x 1,024 pixels, plane by plane."""
    count, rest = divmod(len(content), 1 + PIXELS)
    if rest or not count:
        raise ValueError(f"{len(content):,} bytes are no whole records of {1 + PIXELS:,}")
    rows = np.frombuffer(content, np.uint8).reshape(count, 1 + PIXELS)
    return _checked(rows[:, 1:], rows[:, 0])


def _of_pickle(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """A dictionary of `data` (N, 3072) `uint8` and a list of `labels`."""
    for code, argument, _ in pickletools.genops(content):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and (argument or 0) > MOST_REMEMBERED:
            raise ValueError("it remembers more than a batch has")
    batch = _Reader(io.BytesIO(content), encoding="bytes").load()
    if not isinstance(batch, dict) or not {b"data", b"labels"} <= set(batch):
        raise ValueError("no dictionary of data and labels")
    data, labels = batch[b"data"], batch[b"labels"]
    if not isinstance(data, _Array) or not isinstance(labels, list):
        raise ValueError("its data are no array, or its labels no list")
    if any(type(label) is not int for label in labels):
        raise ValueError("its labels are no whole numbers")
    return _checked(data.pixels(), np.array(labels))


def _checked(pixels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if labels.shape != pixels.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(f"{len(pixels)} pictures, and labels of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise ValueError(f"labels from {labels.min()} to {labels.max()}, not from 0 to 9")
    return pixels.reshape(-1, 3, SIDE, SIDE), labels


class _Dtype:
    """In place of NumPy's: the name of the type alone."""

    def __init__(self, name: object, *rest: object):
        self.name = name.decode("latin-1") if isinstance(name, bytes) else name

    def __setstate__(self, state: object) -> None:
        """Byte order and the like, which bytes have none of."""


class _Array:
    """In place of NumPy's: what the pickle says of its shape, type and bytes."""

    state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def pixels(self) -> np.ndarray:
        """The array (N, 3072) `uint8`; `ValueError` for any other."""
        _, shape, kind, columns_first, content = self.state
        fits = isinstance(content, bytes) and isinstance(kind, _Dtype) and kind.name == "u1"
        if not fits or columns_first or shape != (len(content) // PIXELS, PIXELS) or not content:
            raise ValueError(f"no array of bytes of shape (N, {PIXELS:,})")
        return np.frombuffer(content, np.uint8).reshape(shape)


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _encoded(text: str, *_: object) -> bytes:
    """Bytes as Python 3 writes them for Python 2."""
    return text.encode("latin-1")


class _Reader(pickle.Unpickler):
    """Reads what the batches hold, and nothing that would run."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for what NumPy's arrays are made of; `ValueError` for all else."""
        known = {
            ("numpy", "_reconstruct"): _reconstruct,
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _Dtype,
            ("_codecs", "encode"): _encoded,
        }
        if found := known.get((module.partition(".")[0], name)):
            return found
        raise ValueError(f"it names {module}.{name}, which no batch of CIFAR-10 does")
