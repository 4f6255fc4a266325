"""MNIST, Fashion-MNIST and the bundled 12,000 digits, as arrays."""

import gzip
import math
import socket
import threading
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import numpy as np

from genbench import UserError
from genbench.npz import read_npz

MINI = Path(__file__).with_name("mnist_12k.npz")
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
PROBE_SECONDS = 10.0
STALL_SECONDS = 30.0
MOST_IMAGES, LARGEST_SIDE = 1_000_000, 64  # of a set like MNIST, which has 60,000 of 28 px
MOST_BYTES = 2**30


def read_mini(root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Real MNIST digits shipped with the package: 10,000 for training, 2,000 for the test."""
    try:
        arrays = read_npz(MINI)
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{MINI}: damaged ({error}); install genbench again") from error
    return images[:, None], labels.astype(np.int64)


def read_idx_set(name: str, root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """MNIST or FashionMNIST from `root` (torchvision's layout), Debian's package, or the network.

    Raises:
        UserError: The files are neither on disk nor downloadable, or damaged.
    """
    folder = _find(name, root)
    prefix = "t10k" if split == "test" else "train"
    images = _read_idx(folder / f"{prefix}-images-idx3-ubyte", 3)
    labels = _read_idx(folder / f"{prefix}-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise UserError(f"{folder}: images {images.shape} and labels {labels.shape} do not match")
    return images[:, None], labels.astype(np.int64)


def _find(name: str, root: Path) -> Path:
    """The folder with the set's IDX files, downloaded if it must be."""
    if folder := on_disk(name, root):
        return folder
    from torchvision import datasets  # slow to import, and needed for a download only

    dataset = getattr(datasets, name)
    reason = _unreachable(dataset.mirrors[0])
    if not reason:
        reason = _download(dataset, root)
    if reason:
        ways_out = f"connect to the network, put its IDX files into {root / name / 'raw'}"
        if name == "FashionMNIST":
            ways_out += ", install Debian's dataset-fashion-mnist"
        raise UserError(
            f"{name}: not on disk and not downloadable ({reason}); {ways_out}, "
            "or use --data=mnist-mini"
        )
    return root / name / "raw"


def on_disk(name: str, root: Path) -> Path | None:
    """Where the set's IDX files lie already; None if they do not."""
    folders = [root / name / "raw"] + ([DEBIAN_FASHION] if name == "FashionMNIST" else [])
    there = (folder for folder in folders if any(folder.glob("train-images-idx3-ubyte*")))
    return next(there, None)


def _unreachable(url: str) -> str:
    """Why `url` does not answer within `PROBE_SECONDS` in all (name look-up too), or nothing."""
    reasons = [f"no answer in {PROBE_SECONDS:g} s"]

    def probe() -> None:
        try:
            with urllib.request.urlopen(url, timeout=PROBE_SECONDS):
                reasons.append("")
        except urllib.error.HTTPError:
            reasons.append("")  # the server is there; torchvision knows the files' names
        except OSError as error:
            reasons.append(str(getattr(error, "reason", error)))

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return reasons[-1]


def _download(dataset: type, root: Path) -> str:
    """Let torchvision fetch the set, never waiting long for a silent server; why not, if not."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        dataset(root, download=True)
    except (OSError, RuntimeError) as error:
        return str(error)
    finally:
        socket.setdefaulttimeout(before)
    return ""


def _read_idx(path: Path, n_dims: int) -> np.ndarray:
    """An IDX file of unsigned bytes, plain or gzipped (format: LeCun's MNIST page).

    Its header decides, before anything else is unpacked, how many bytes are read.
    """
    zipped = not path.is_file()
    path = path.with_name(f"{path.name}.gz") if zipped else path
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            header = file.read(4 + 4 * n_dims)
            if header[:4] != bytes([0, 0, 8, n_dims]) or len(header) < 4 + 4 * n_dims:
                raise ValueError(f"truncated or no IDX file of bytes in {n_dims} dimensions")
            shape = np.frombuffer(header[4:], dtype=">u4").tolist()
            _refuse_large(shape)
            content = file.read(math.prod(shape))
            if len(content) < math.prod(shape) or file.read(1):
                raise ValueError(f"truncated, or not of the shape {shape} that its header says")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {_again(path)}") from error
    return np.frombuffer(content, dtype=np.uint8).reshape(shape).copy()


def _refuse_large(shape: list[int]) -> None:
    """Raise `ValueError` for a shape that no set like MNIST has: a small file can unpack to it."""
    n, *sides = shape
    if n > MOST_IMAGES or max(sides, default=0) > LARGEST_SIDE or math.prod(shape) > MOST_BYTES:
        raise ValueError(
            f"{math.prod(shape):,} bytes of shape {shape} by its header, where {MOST_IMAGES:,} "
            f"images of {LARGEST_SIDE} px and {MOST_BYTES:,} bytes are the most"
        )


def _again(path: Path) -> str:
    return f"delete {path.parent} and run again, or use --data=mnist-mini"
