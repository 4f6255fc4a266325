"""MNIST, Fashion-MNIST and the bundled 12,000 digits, as arrays."""

import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from genbench import UserError
from genbench.console import first_line
from genbench.data.archive import is_archive, unpacked
from genbench.data.layouts import ENDINGS, Reader, find_set, places
from genbench.npz import read_npz

MINI = Path(__file__).with_name("mnist_12k.npz")
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
CLOTHES = (  # Xiao et al. 2017, arXiv:1708.07747, table 2
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
PROBE_SECONDS = 10.0
STALL_SECONDS = 30.0


def read_mini(root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Real MNIST digits shipped with the package: 10,000 for training, 2,000 for the test."""
    try:
        arrays = read_npz(MINI)
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{MINI}: damaged ({error}); install genbench again") from error
    return images[:, None], labels.astype(np.int64)


def read_set(name: str, root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """MNIST or FashionMNIST from `root` in any layout, Debian's package, or the network.

    Args:
        name: As torchvision has it.
        root: The folder for data sets, or an archive with the set.
        split: train or test.

    Raises:
        UserError: The files are neither on disk nor downloadable, or damaged.
    """
    if is_archive(root):
        images, labels = _in_archive(name, root, split)
    else:
        images, labels = _find(name, root)(split)
    return images[:, None], labels.astype(np.int64)


def _in_archive(name: str, path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """A split of the set from an archive."""
    try:
        with unpacked(path, ENDINGS) as folder:
            folders = [folder, *sorted(each for each in folder.rglob("*") if each.is_dir())]
            found = find_set(name, folders)
            if not found:
                raise UserError(f"{path}: has no IDX, CSV or npz files of {name}")
            try:
                return found[1](split)
            except UserError as error:
                raise UserError(str(error).replace(str(folder), str(path))) from error
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: cannot be read ({first_line(error)})") from error


def _find(name: str, root: Path) -> Reader:
    """What reads the set, downloaded if it must be."""
    if found := _on_disk(name, root):
        return found[1]
    from torchvision import datasets  # slow to import, and needed for a download only

    dataset = getattr(datasets, name)
    reason = unreachable(dataset.mirrors[0])
    if not reason:
        reason = download(dataset, root)
    found = _on_disk(name, root)
    if not found:
        reason = reason or "what was downloaded is not there"
        ways_out = f"connect to the network, put its IDX, CSV or npz files into {root / name}"
        if name == "FashionMNIST":
            ways_out += ", install Debian's dataset-fashion-mnist"
        raise UserError(
            f"{name}: not on disk and not downloadable ({reason}); {ways_out}, "
            "or use --data=mnist-mini"
        )
    return found[1]


def on_disk(name: str, root: Path) -> Path | None:
    """Where the set lies already; None if it does not."""
    found = _on_disk(name, root)
    return found[0] if found else None


def _on_disk(name: str, root: Path) -> tuple[Path, Reader] | None:
    debian = [DEBIAN_FASHION] if name == "FashionMNIST" else []
    return find_set(name, places(name, root) + debian)


def unreachable(url: str) -> str:
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


def download(dataset: type, root: Path) -> str:
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
