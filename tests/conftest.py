"""What all tests share: no W&B account, no user's folders, the real scripts."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import forked
import hypothesis
import pytest
import torch
from disks import mounted
from matplotlib.figure import Figure
from PIL import Image

from genbench.record import wait_for_wandb

signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs behind `&` ignores Ctrl-C
hypothesis.settings.register_profile(  # no test is of time
    "genbench", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("genbench")
ROOT = Path(__file__).parents[1]
FONTS = str(Path(tempfile.gettempdir()) / "genbench-tests-matplotlib")


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with no account: an empty home, no W&B variable but those a test sets."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr("genbench.record.run._ids", set())
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    monkeypatch.setenv("MPLCONFIGDIR", FONTS)  # else every process looks for all fonts anew
    monkeypatch.setenv("GENBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    yield
    wait_for_wandb()


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run a real script or command in an empty folder, without a terminal."""

    def run(*args: str, timeout: float = 240, **env: str) -> subprocess.CompletedProcess:
        name, *rest = args
        if "PYTHONPATH" not in env and (name == "genbench" or name.endswith(".py")):
            path = ROOT / "experiments" / name if name != "genbench" else None
            return forked.run(path, rest, tmp_path, os.environ | env, timeout)
        return subprocess.run(
            [name, *rest],
            cwd=tmp_path,
            env=os.environ | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


def later_checkpoint(run: Path) -> dict[str, Any]:
    """Of a run's checkpoints the one that it goes on from."""
    paths = (run / "checkpoints").glob("*.pt")
    return max((torch.load(path, weights_only=True) for path in paths), key=lambda one: one["step"])


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small file system of its own: `mount("size=1m")` returns its folder."""
    with ExitStack() as disks:

        def mount(options: str) -> Path:
            disks.enter_context(mounted(tmp_path / "mounted", options))
            return tmp_path / "mounted"

        yield mount


@pytest.fixture
def blank_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports build their charts and save them blank, in a tenth of the time."""

    def save(figure: Figure, file: Any, format: str, **_: Any) -> None:
        if format == "svg":
            file.write('<svg width="8pt" height="8pt" viewBox="0 0 8 8"></svg>')
        else:
            Image.new("RGB", (8, 8)).save(file, format)

    monkeypatch.setattr(Figure, "savefig", save)


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three hundred digits in place of ten thousand."""
    from genbench.data import LABELLED

    read = LABELLED["mnist-mini"]

    def few(root: Path, split: str) -> tuple[Any, Any]:
        images, labels = read(root, split)
        return images[:300], labels[:300]

    monkeypatch.setitem(LABELLED, "mnist-mini", few)


def torn_mnist(folder: Path) -> Path:
    """A folder for data sets in which MNIST's images are cut off."""
    images = folder / "torn" / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.parent.mkdir(parents=True)
    images.write_bytes(bytes([0, 0, 8, 3]) + bytes(20))
    return folder / "torn"


def fail_second_training(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the second training of a search raise this error."""
    from genbench.search import trial

    real, calls = trial.train, []

    def train(*args: Any, **more: Any) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 2:
            raise error
        return real(*args, **more)

    monkeypatch.setattr(trial, "train", train)
