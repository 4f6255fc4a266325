"""Two configurations of a GAN on equal terms: same data, same training time, same score."""

import dataclasses
import itertools
import math
import statistics
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from genbench.config import FOLDER, Checked, Count, Device, GANConfig, Positive, Range, WandbMode
from genbench.handlers import Diverged
from genbench.records import Record, finished, read_runs
from genbench.run import git
from genbench.train import train

FOREVER = 1_000_000  # epochs: the minutes end the training
# Radford et al. 2015, section 4, with the loss of Goodfellow et al. 2014.
BASELINE: dict[str, Any] = {
    **{"arch": "dcgan", "loss": "bce", "latent_dim": 100, "lr": 2e-4, "beta1": 0.5, "beta2": 0.999},
    **{"r1": 0.0, "r2": 0.0, "ema": 0.0, "diffaugment": "", "lr_ratio": 1.0, "lr_decay": 0.0},
}
WIDTHS, BATCHES = (16, 32), (32, 64)  # the published 64 and 128 are hopeless in minutes on a CPU


@dataclass(frozen=True)
class ContestConfig(Checked):
    """Train the default GAN and the DCGAN of 2015 for the same time, and compare."""

    data: str = "synthetic-art"  # synthetic-art, propaganda-debian, abstract-art or folder
    data_dir: str = ""  # folder: the pictures
    image_size: int = 64  # side in pixels, a power of two
    crops: Annotated[int, Range(0)] = 0  # random squares cut from a picture (0: its centre)
    minutes: Annotated[float, Positive] = 5.0  # training time of each run
    seeds: Count = 5  # trainings of each; seed 0 only chooses the baseline's width and batch
    runs_dir: Annotated[str, FOLDER] = "runs"  # the run records go here
    device: Device = "auto"  # auto: cuda, else mps, else cpu
    wandb: WandbMode = "auto"  # auto: online if a key is configured, else offline


def contest(options: ContestConfig) -> dict[str, list[Record]]:
    """Train what is not there yet; the runs of each side, one a seed.

    The baseline's width and batch are the pair with the least validation KID at seed 0. A run that
    is finished at this commit is not repeated: the same command goes on where it was stopped.
    """
    common = dataclasses.asdict(options) | {"epochs": FOREVER, "score_every": FOREVER}
    seeds = range(1, common.pop("seeds") + 1)
    default = GANConfig(**common, seed=0, group=f"contest-{options.data}")
    candidates = [
        dataclasses.replace(default, **BASELINE, width=width, batch_size=batch)
        for width in WIDTHS
        for batch in BATCHES
    ]
    trials = [_run(one, f"dcgan {one.width}x{one.batch_size}") for one in candidates]
    chosen = candidates[min(range(len(trials)), key=lambda i: _kid(trials[i]))]
    sides = {
        "default": default,
        f"dcgan+bce, width {chosen.width}, batch {chosen.batch_size}": chosen,
    }
    return {
        name: [
            _run(dataclasses.replace(side, seed=seed, test=True), f"{side.arch}, seed {seed}")
            for seed in seeds
        ]
        for name, side in sides.items()
    }


def _run(config: GANConfig, title: str) -> Record:
    """A run like this, trained now if there is none; one that diverges is a result too."""
    commit = git("rev-parse", "HEAD")
    there = finished(config.runs_dir, config.experiment, config.seed, commit, config.test)
    if there:
        return there
    with suppress(Diverged):
        train(config, title=title)
    mine = config.experiment, config.seed
    runs = read_runs(config.runs_dir)
    return [run for run in runs if (run.about["key"], run.config["seed"]) == mine][-1]


def _kid(run: Record) -> float:
    return next((v for name, v in run.scores.items() if name.startswith("val/kid_")), math.inf)


def table(sides: dict[str, list[Record]]) -> list[str]:
    """Lines: mean ± std over seeds of every distance and its floor, a column a side, their ratio.

    Below them how steady the trainings were (`stability.summarise`).
    """
    runs = list(sides.values())
    scored = dict.fromkeys(name for run in itertools.chain(*runs) for name in run.scores)
    lines = [_line("", *sides, "ratio")]
    for name in scored:
        if "_lite0_n" not in name or name.startswith("val/"):
            continue
        found = [[run.scores[name] for run in side if name in run.scores] for side in runs]
        ratio = statistics.mean(found[0]) / statistics.mean(found[1]) if all(found) else math.nan
        lines.append(_line(name, *map(_mean_std, found), f"{ratio:.3f}"))
    for name in ("oscillation_d", "oscillation_g", "saturated_epochs"):
        lines.append(_line(name, *(_mean_std([_stability(run)[name] for run in s]) for s in runs)))
    for name in ("collapsed", "diverged"):
        counts = [sum(_stability(run).get(name, False) for run in side) for side in runs]
        cells = (f"{count} of {len(side)}" for count, side in zip(counts, runs, strict=True))
        lines.append(_line(name, *cells))
    return lines


def _stability(run: Record) -> dict[str, Any]:
    return run.summary["stability"]


def _line(name: str, *cells: str) -> str:
    return f"{name:28}" + "".join(f"{cell:>36}" for cell in cells).rstrip()


def _mean_std(values: list[float]) -> str:
    if not values:
        return "none"
    spread = f" ± {statistics.stdev(values):.4g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.5g}{spread}"
