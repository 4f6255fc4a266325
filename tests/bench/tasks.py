"""What genbench does in a line: each task is a function, run in a process of its own."""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import FOLDER, ROOT

TASKS: dict[str, Callable[..., dict[str, Any]]] = {}
VAE = {  # 784-400-400-20: what pythae's and most examples train on digits
    **{"data": "mnist-mini", "arch": "mlp", "width": 400, "depth": 2, "latent_dim": 20},
    **{"activation": "relu", "batch_size": 128, "lr": 1e-3, "seed": 0},
}
WARM = 40  # steps before those that are counted: the default GAN's memory is full by then
PNG = {"compress_level": 1}


def task(function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Have a function run by its name; it returns at least `seconds`, of work, not of imports."""
    TASKS[function.__name__] = function
    return function


def small(folder: str) -> dict[str, Any]:
    """A training as short as a trial can be."""
    return {"epochs": 1, "wandb": "disabled", "runs_dir": folder, "save": False, "device": "cpu"}


def painted(n: int, seed: int = 0) -> Path:
    """A folder with n painted pictures of 64 px as PNG, in one class `all`, made once."""
    from PIL import Image

    from genbench.data.synthetic import paint

    folder = FOLDER / f"pictures-{n}-{seed}"
    if not folder.exists():
        making = folder.with_suffix(".part")
        shutil.rmtree(making, ignore_errors=True)
        (making / "all").mkdir(parents=True)
        for i, image in enumerate(paint(n, 64, seed=seed)):
            picture = Image.fromarray(image.transpose(1, 2, 0))
            picture.save(making / "all" / f"{i:05d}.png", **PNG)
        making.rename(folder)
    return folder


@task
def vae(epochs: int, folder: str, **fields: Any) -> dict[str, Any]:
    """A whole `train` call: reading the data, training, recording, final scores."""
    from genbench.families.vae import VAEConfig
    from genbench.record import Run
    from genbench.train import train

    config = VAEConfig(**VAE | {"epochs": epochs, "runs_dir": folder, "wandb": "offline"} | fields)
    curve, log = [], Run.log

    def watched(run: Run, split: str, scalars: dict[str, float], *place: Any) -> None:
        if split == "val" and "elbo" in scalars:
            curve.append((time.perf_counter() - started, scalars["elbo"]))
        log(run, split, scalars, *place)

    Run.log = watched  # type: ignore[method-assign]
    started = time.perf_counter()
    train(config)
    return {"seconds": time.perf_counter() - started, "curve": curve}


@task
def gan(epochs: int, pictures: int, folder: str, **fields: Any) -> dict[str, Any]:
    """A whole training on a folder of PNG, without scores."""
    from genbench.families.gan import GANConfig

    return _on_pictures(GANConfig, epochs, pictures, folder, fields)


@task
def flow(epochs: int, pictures: int, folder: str, **fields: Any) -> dict[str, Any]:
    """The same of flow matching."""
    from genbench.families.flow import FlowConfig

    return _on_pictures(FlowConfig, epochs, pictures, folder, fields)


def _on_pictures(
    kind: Callable[..., Any], epochs: int, pictures: int, folder: str, fields: dict[str, Any]
) -> dict[str, Any]:
    from genbench.data import load_data, steps_per_epoch
    from genbench.train import train

    about = {"data": "folder", "data_dir": str(painted(pictures)), "eval_every": 0}
    config = kind(**about | {"epochs": epochs, "runs_dir": folder, "wandb": "offline"} | fields)
    started = time.perf_counter()
    train(config)
    seconds = time.perf_counter() - started
    steps = epochs * steps_per_epoch(len(load_data(config).splits["train"]), config)
    return {"seconds": seconds, "images": steps * config.batch_size, "steps": steps}


@task
def steps(model: str, count: int, pictures: int = 640, **fields: Any) -> dict[str, Any]:
    """Steps alone, after some that are not counted."""
    from genbench.data import Batches, load_data
    from genbench.families import FAMILIES
    from genbench.model import Model
    from genbench.speed import prepare, settle

    base = {"data": "folder", "data_dir": str(painted(pictures))}
    config = settle(FAMILIES[model].config(**base | fields))
    data = load_data(config, config.device)
    built = Model.build(config, data, config.device)
    prepare(built, 10_000)  # as for a long training
    batches = Batches(data.splits["train"], config.batch_size, 0, True)
    built.state.modules.train()

    def take(n: int) -> float:
        started, done = time.perf_counter(), 0
        while done < n:
            for x, _ in batches:
                built.steps.train_step(built.state, x)
                done += 1
                if done == n:
                    break
        return time.perf_counter() - started

    take(WARM)
    return {"seconds": take(count), "steps": count, "images": count * config.batch_size}


@task
def streamed(count: int, pictures: int, stream: bool) -> dict[str, Any]:
    """Steps of the default GAN over a folder that is read as it is needed, or lies in memory."""
    import genbench.data

    genbench.data.STREAM_BYTES = 0 if stream else 2**62
    return steps("gan", count, pictures)


@task
def scores(pictures: int) -> dict[str, Any]:
    """Distances of two folders of PNG, nothing known before."""
    import numpy as np
    import torch_fidelity.metrics  # noqa: F401 - an import is no work
    from PIL import Image

    from genbench.evaluate.measures import measure
    from genbench.metrics.cache import Cache
    from genbench.metrics.extractors import load_extractor

    folders = [painted(pictures, i) / "all" for i in (1, 2)]
    started = time.perf_counter()
    extractor = load_extractor()
    sides = []
    for folder in folders:
        images = [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]
        sides.append(extractor(np.stack(images).transpose(0, 3, 1, 2)))
    found = measure(*sides, ("fd", "kid", "precision", "recall"), Cache(None))
    return {"seconds": time.perf_counter() - started, "scores": found}


def grid(trials: int) -> list[int]:
    """Sizes of a code, one a trial."""
    return [2 * i for i in range(1, trials + 1)]


@task
def search(trials: int, folder: str, workers: int = 1) -> dict[str, Any]:
    """A grid of so many points, each a trial of an epoch: the same work, whoever asks for it."""
    from genbench.config import SearchConfig
    from genbench.search.search import Search
    from genbench.sweep import read_sweep

    words = (ROOT / "sweeps" / "vae.yaml").read_text().partition("parameters:")[0]
    words += f"parameters: {{latent_dim: {{values: {grid(trials)}}}}}\n"
    file = Path(folder) / "grid.yaml"
    file.write_text(words.replace("method: bayes", "method: grid"))
    sweep = dataclasses.replace(read_sweep(file), stopping=None)
    options = SearchConfig(
        trials=trials,
        timeout=1e9,
        epochs=1,
        workers=workers,
        wandb="disabled",
        runs_dir=folder,
        device="cpu",
    )
    found = Search(sweep, options)
    started = time.perf_counter()
    found.run()
    return {"seconds": time.perf_counter() - started}


@task
def empty_trials(trials: int, folder: str) -> dict[str, Any]:
    """What a study costs beside its trainings: the last ten of so many trials that take no time."""
    from genbench.config import SearchConfig
    from genbench.search import trial as trials_module
    from genbench.search.search import Search
    from genbench.sweep import read_sweep

    def instead(config: Any, **options: Any) -> dict[str, float]:
        return {"val/elbo": -100.0 - config.lr}

    trials_module.train = instead
    file = ROOT / "sweeps" / "vae.yaml"
    sweep = dataclasses.replace(read_sweep(file), stopping=None, run_cap=None)
    options = SearchConfig(trials=trials, timeout=1e9, wandb="disabled", runs_dir=folder)
    found = Search(sweep, options)
    found.file.parent.mkdir(parents=True)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        started = time.perf_counter()
        found.work(trials - 10)
        before = time.perf_counter()
        found.work(trials)
    now = time.perf_counter()
    assert len(found.study.trials) == trials
    return {"seconds": now - started, "last": (now - before) / 10}


@task
def at_once(n: int, epochs: int, folder: str) -> dict[str, Any]:
    """n trainings that begin together."""
    started = time.perf_counter()
    running = [_training(epochs, f"{folder}/{i}") for i in range(n)]
    assert not any(program.wait() for program in running)
    return {"seconds": time.perf_counter() - started}


@task
def in_turn(n: int, epochs: int, folder: str) -> dict[str, Any]:
    """n trainings one after another."""
    started = time.perf_counter()
    for i in range(n):
        assert not _training(epochs, f"{folder}/{i}").wait()
    return {"seconds": time.perf_counter() - started}


@task
def processes(n: int, epochs: int, folder: str) -> dict[str, Any]:
    """The default GAN by n processes of torchrun, without their start: as its record says."""
    from genbench.record import read_runs

    torchrun = ["-m", "torch.distributed.run", f"--nproc_per_node={n}"] if n > 1 else []
    data = ["--data=folder", f"--data_dir={painted(640)}", "--eval_every=0", f"--epochs={epochs}"]
    place = [f"--runs_dir={folder}", "--wandb=disabled", "--precision=fp32", "--compile=False"]
    assert not _program(*torchrun, "experiments/gan.py", *data, *place).wait()
    (run,) = read_runs(folder)
    return {"seconds": run.summary["seconds"]}


def _training(epochs: int, folder: str) -> "subprocess.Popen[bytes]":
    fields = [f"--{k}={v}" for k, v in VAE.items()] + [f"--epochs={epochs}"]
    place = [f"--runs_dir={folder}", "--wandb=offline"]
    return _program("experiments/vae.py", *fields, *place)


def _program(*arguments: str) -> "subprocess.Popen[bytes]":
    if arguments[0] == "genbench":
        arguments = ("-c", "from genbench.commands import main; main()", *arguments[1:])
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, **quiet)


@task
def program(*, arguments: list[str], folder: str) -> dict[str, Any]:
    """A whole program; FOLDER stands for a folder of its own, RECORDS for one of 1,000 records."""
    there = str(records(1_000)) if "--runs_dir=RECORDS" in arguments else ""
    arguments = [a.replace("FOLDER", folder).replace("RECORDS", there) for a in arguments]
    started = time.perf_counter()
    assert not _program(*arguments).wait()
    return {"seconds": time.perf_counter() - started}


def records(n: int) -> Path:
    """A folder of n hand-made records, made once."""
    from records import Records

    folder = FOLDER / f"records-{n}"
    if not folder.exists():
        making = folder.with_suffix(".part")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        made = Records(making)
        first = [made.run("vae", seed=i) for i in range(5)]
        for i in range(n - 5):
            copy = making / f"copy-{i:05d}"
            shutil.copytree(first[i % 5], copy)
            about = json.loads((copy / "config.json").read_text())
            about["config"]["lr"], about["created"] = i / 1000, f"{i:05d}"
            (copy / "config.json").write_text(json.dumps(about))
        making.rename(folder)
    return folder


@task
def report(runs: int, folder: str) -> dict[str, Any]:
    """The report of so many records."""
    there = records(runs)
    arguments = ["genbench", "report", f"--runs_dir={there}", f"--out={folder}"]
    return program(arguments=arguments, folder=folder)


@task
def first_read(pictures: int, folder: str) -> dict[str, Any]:
    """A folder of PNG read, checked and cut for the first time."""
    from genbench.data import load_data
    from genbench.families.gan import GANConfig

    config = GANConfig(data="folder", data_dir=str(painted(pictures)))
    os.environ["GENBENCH_CACHE"] = folder
    started = time.perf_counter()
    load_data(config)
    return {"seconds": time.perf_counter() - started}


@task
def first_step(folder: str, script: str, **fields: Any) -> dict[str, Any]:
    """From the command to the first line of the record."""
    flags = [f"--{k}={v}" for k, v in fields.items()]
    started = time.perf_counter()
    training = _program(script, *flags, f"--runs_dir={folder}", "--log_every=1", "--wandb=offline")
    try:
        while not any(path.stat().st_size for path in Path(folder).glob("*/metrics.jsonl")):
            assert training.poll() is None, "it ended before its first step"
            time.sleep(0.01)
        return {"seconds": time.perf_counter() - started}
    finally:
        training.terminate()
        training.wait()


def main() -> None:
    """Run the task that is named, with its arguments as JSON; the answer is the last line."""
    import resource

    from bench import peers  # noqa: F401 - its tasks

    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    answer = TASKS[name](**arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("\n" + json.dumps(answer | {"peak_mb": peak, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    from bench.tasks import main as of_the_module  # the one whose tasks peers add to

    of_the_module()
