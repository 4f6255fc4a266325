"""Damaged inputs: each is read as the commands read it, and gives a value or a `UserError`."""

import gzip
import io
import json
import multiprocessing
import os
import random
import signal
import struct
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genbench import UserError
from soak import Case

ROOT = Path(__file__).parents[2]
SECONDS = 20  # that an input may take
TOKENS = [
    *(b"null", b"NaN", b"1e999", b"-1", b"0", b"[", b"{", b"]", b"}", b'"x"', b'""', b"true"),
    *(b"\x00", b"\xff", b"\n", b": ", b"- ", b"&a ", b"*a", b"!!int ", b"9" * 5000, b"[" * 3000),
]
Read = Callable[[Path], Any]


class Hang(BaseException):
    """The input has taken too long."""


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to four changes: cut, flipped, doubled, removed or put in."""
    for _ in range(rng.randint(1, 4)):
        a, b = sorted(rng.randint(0, len(data)) for _ in range(2))
        b = min(b, a + rng.choice([1, 8, 64, len(data)]))
        change = rng.randrange(6)
        if change == 0:
            data = data[:a]
        elif change == 1 and data:
            at = min(a, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif change == 2:
            data = data[:b] + data[a:b] + data[b:]
        elif change == 3:
            data = data[:a] + data[b:]
        elif change == 4:
            data = data[:a] + rng.choice(TOKENS) + data[a:]
        else:
            data = data[:a] + rng.randbytes(b - a) + data[b:]
    return data


def sweeps(folder: Path) -> tuple[list[Path], Read]:
    """The shipped sweep files."""
    from genbench.sweep import check_sweep, read_sweep

    seeds = []
    for path in sorted((ROOT / "sweeps").glob("*.yaml")):
        (folder / path.name).write_bytes(path.read_bytes())
        seeds.append(folder / path.name)

    def read(path: Path) -> None:
        check_sweep(path)
        read_sweep(path)

    return seeds, read


def small_run(folder: Path) -> Path:
    """A whole run folder with all its files."""
    from genbench.record import Run

    with Run(str(folder), "toy", wandb="disabled") as run:
        config = {"seed": 0, "epochs": 2, "data": "mnist-mini", "test": True, "group": ""}
        run.begin(config, model="vae", key="0" * 8, objective="val/elbo", direction="maximize")
        for step in range(0, 40, 10):
            run.log("train", {"loss": 1.5, "elbo": -1.5}, step, step / 20)
        run.log("val", {"loss": 1.25, "elbo": -1.25}, 40, 2)
        run.picture("samples", np.zeros((8, 8), np.uint8), 40, 2)
        run.latents(np.zeros((4, 2), np.float32), np.arange(4), "val", 40)
        run.arrays("pictures", samples=np.zeros((4, 8, 8), np.uint8))
        run.summary |= {"best_epoch": 2, "scores": {"val/elbo": -1.25, "test/elbo": -1.5}}
    line = (ROOT / "tests" / "earlier").rglob("evaluations.jsonl")
    evaluations = next(line, None)
    text = evaluations.read_bytes() if evaluations else b'{"split": "test"}\n'
    (run.dir / "evaluations.jsonl").write_bytes(text)
    return run.dir


def records(folder: Path) -> tuple[list[Path], Read]:
    """The files of a run, one damaged at a time; another run beside it must still be read."""
    from genbench.record import read_runs

    run = small_run(folder)
    small_run(folder)
    names = ("config.json", "metrics.jsonl", "summary.json", "evaluations.jsonl")

    def read(path: Path) -> None:
        found = read_runs(folder)
        assert any(record.path != run for record in found), "the other run is no longer read"
        for record in found:
            record.metrics()
            record.evaluations()
            assert record.status
            record.curve("val", "elbo")

    return [run / name for name in names], read


def configs(folder: Path) -> tuple[list[Path], Read]:
    """A run's config.json, as --config reads it."""
    from genbench.families.gan import GANConfig
    from genbench.families.vae import VAEConfig
    from genbench.resume import read_config

    seeds = []
    for config in (VAEConfig(), GANConfig()):
        path = folder / f"{config.model}.json"
        path.write_text(json.dumps({"model": config.model, "config": vars(config)}))
        seeds.append(path)
    return seeds, read_config


def pictures(folder: Path) -> tuple[list[Path], Read]:
    """A folder of pictures of which one is damaged."""
    from genbench.config import PictureConfig
    from genbench.data import load_data
    from genbench.data.audit import audit

    rng = np.random.default_rng(0)
    for i in range(20):
        noise = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.{('png', 'jpg', 'gif', 'webp', 'bmp')[i % 5]}")

    def read(path: Path) -> None:
        list(audit(folder, 16, 0))
        load_data(PictureConfig(data="folder", data_dir=str(folder), image_size=16, batch_size=2))

    return sorted(folder.iterdir())[:10], read


def idx(folder: Path) -> tuple[list[Path], Read]:
    """MNIST's files, packed and not."""
    from genbench.data import digits

    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images = struct.pack(">IIII", 2051, 60, 28, 28) + bytes(60 * 784)
    labels = struct.pack(">II", 2049, 60) + bytes(range(10)) * 6
    for name, data in (("images-idx3", images), ("labels-idx1", labels)):
        (raw / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(data))
    return sorted(raw.iterdir()), lambda path: digits.read_set("MNIST", folder, "train")


def archives(folder: Path) -> tuple[list[Path], Read]:
    """pictures.npz and latents.npz of a run, as the report reads them."""
    from genbench.record import read_run

    run = small_run(folder)

    def read(path: Path) -> None:
        record = read_run(run)
        assert record, "the run is no longer read"
        for name in ("pictures", "latents"):
            record.arrays(name)

    return [run / "pictures.npz", run / "latents.npz"], read


def checkpoints(folder: Path) -> tuple[list[Path], Read]:
    """A trained model's weights."""
    from genbench import load
    from genbench.families.ae import AEConfig
    from genbench.train import train

    small = {"epochs": 1, "batch_size": 500, "latent_dim": 2, "width": 4, "depth": 1}
    config = AEConfig(**small, wandb="disabled", runs_dir=str(folder / "runs"))
    train(config)
    (run,) = (folder / "runs").glob("*-ae-*")
    return [run / "checkpoints" / "best.pt"], lambda path: load(run, "cpu")


KINDS = {
    "sweep files": (sweeps, 700),
    "records": (records, 500),
    "configurations": (configs, 300),
    "pictures": (pictures, 100),
    "IDX files": (idx, 150),
    "npz archives": (archives, 150),
    "checkpoints": (checkpoints, 100),
}


def campaign(share: float, seed: int, folder: Path) -> Iterator[Case]:
    """Damage inputs of every kind, each kind in a process that may crash."""
    for kind, (make, n) in KINDS.items():
        place = folder / kind.replace(" ", "-")
        place.mkdir(parents=True)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_try, args=(make, round(n * share), seed, place, theirs))
        process.start()
        theirs.close()
        done = 0
        try:
            while True:
                lost, trace, hang = ours.recv()
                done += 1
                yield Case(f"fuzzed {kind}", lost, trace, hang)
        except EOFError:
            process.join()
        if process.exitcode:
            yield Case(f"fuzzed {kind}", traceback=f"crashed ({process.exitcode}) after {done}")


def _try(make: Any, n: int, seed: int, folder: Path, wire: Any) -> None:
    rng = random.Random(seed)
    signal.signal(signal.SIGALRM, _alarm)
    with open(os.devnull, "w") as quiet, redirect_stderr(quiet), redirect_stdout(quiet):
        seeds, read = make(folder)
        whole = {path: path.read_bytes() for path in seeds}
        for i in range(n):
            path = seeds[i % len(seeds)]
            path.write_bytes(damaged(whole[path], rng))
            wire.send(_outcome(read, path))
            path.write_bytes(whole[path])


def _alarm(number: int, frame: Any) -> None:
    raise Hang


def _outcome(read: Read, path: Path) -> tuple[str, str, str]:
    signal.alarm(SECONDS)
    try:
        read(path)
    except UserError as error:
        lines = str(error).splitlines()
        return "", "" if len(lines) == 1 else f"{len(lines)} lines: {lines[:2]}", ""
    except Hang:
        return "", "", f"{path.name} took {SECONDS} s"
    except AssertionError as error:
        return str(error) or "assertion", "", ""
    except BaseException:
        return "", traceback.format_exc().strip().splitlines()[-1] + _where(), ""
    finally:
        signal.alarm(0)
    return "", "", ""


def _where() -> str:
    buffer = io.StringIO()
    traceback.print_exc(limit=-1, file=buffer)
    return " | " + " ".join(buffer.getvalue().split()[3:12])
