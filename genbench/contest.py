"""Two configurations of a GAN on equal terms: same data, same training time, same score."""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from genbench import UserError
from genbench.config import FOLDER, Checked, Count, Device, GANConfig, Positive, Range, WandbMode
from genbench.handlers import Diverged
from genbench.record import Record, finished
from genbench.run import git, say
from genbench.train import train

FOREVER = 1_000_000  # epochs: the minutes end the training
# Radford et al. 2015, section 4, with the loss of Goodfellow et al. 2014.
BASELINE: dict[str, Any] = {
    **{"arch": "dcgan", "loss": "bce", "latent_dim": 100, "lr": 2e-4, "beta1": 0.5, "beta2": 0.999},
    **{"r1": 0.0, "r2": 0.0, "ema": 0.0, "diffaugment": "", "lr_ratio": 1.0, "lr_decay": 0.0},
    **{"spectral_norm": False, "label_smoothing": 0.0, "ada_target": 0.0, "d_steps": 1},
}
Values = Sequence[float | str | None]  # of a scalar, one a run
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
    has finished or diverged at this commit is not repeated: the same command goes on where it was
    stopped.
    """
    common = dataclasses.asdict(options) | {"epochs": FOREVER, "eval_every": FOREVER}
    seeds = range(1, common.pop("seeds") + 1)
    default = GANConfig(**common, seed=0, group=f"contest-{options.data}")
    candidates = [
        dataclasses.replace(default, **BASELINE, width=width, batch_size=batch)
        for width in WIDTHS
        for batch in BATCHES
    ]
    trials = [_run(one, f"dcgan {one.width}x{one.batch_size}") for one in candidates]
    kids = [_kid(trial) for trial in trials]
    if all(math.isnan(kid) for kid in kids):
        raise UserError(
            f"data={options.data}: no training of the baseline has a validation KID to choose by; "
            "more pictures (--crops) give one, other --minutes may"
        )
    chosen = candidates[min(range(len(kids)), key=lambda i: (math.isnan(kids[i]), kids[i]))]
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
    mine = config.experiment, config.seed, git("rev-parse", "HEAD"), config.test
    run = finished(config.runs_dir, *mine, or_diverged=True)
    if not run:
        try:
            train(config, title=title)
        except Diverged as error:
            say(f"{title}: {error}")
        run = finished(config.runs_dir, *mine, or_diverged=True)
    assert run  # it has just ended
    return run


def _kid(run: Record) -> float:
    return next((v for name, v in run.scores.items() if name.startswith("val/kid_")), math.nan)


def table(sides: dict[str, list[Record]]) -> list[str]:
    """Lines: every distance and its floor, mean ± std over seeds, a column a side.

    The last column is the first side's mean divided by the second's. Below the distances stands how
    steady the trainings were (`stability.summarise`).
    """
    runs = list(sides.values())
    scored = dict.fromkeys(name for run in itertools.chain(*runs) for name in run.scores)
    lines = [_line("", *sides, "ratio")]
    for name in scored:
        if "_lite0_n" in name and not name.startswith("val/"):
            found = [[run.scores.get(name) for run in side] for side in runs]
            ratio = [] if "/floor_" in name else [_ratio(*found)]
            lines.append(_line(name, *map(_mean_std, found), *ratio))
    steady = [[run.summary.get("stability", {}) for run in side] for side in runs]
    for name in ("oscillation_d", "oscillation_g", "saturated_epochs"):
        lines.append(_line(name, *(_mean_std([one.get(name) for one in s]) for s in steady)))
    for name in ("collapsed", "diverged"):
        counts = (f"{sum(one.get(name, False) for one in s)} of {len(s)}" for s in steady)
        lines.append(_line(name, *counts))
    return lines


def _line(name: str, *cells: str) -> str:
    return f"{name:28}" + "".join(f"{cell:>36}" for cell in cells)


def _finite(values: Values) -> list[float]:
    """What there is: a run that diverged has no scores, and NaNs, which JSON keeps as words."""
    numbers = [float(value) for value in values if value is not None]
    return [number for number in numbers if math.isfinite(number)]


def _ratio(mine: Values, theirs: Values) -> str:
    a, b = _finite(mine), _finite(theirs)
    if not a or not b or statistics.mean(b) <= 0:  # KID may be below 0
        return "none"
    return f"{statistics.mean(a) / statistics.mean(b):.3f}"


def _mean_std(values: Values) -> str:
    known = _finite(values)
    if not known:
        return "none"
    spread = f" ± {statistics.stdev(known):.4g}" if len(known) > 1 else ""
    few = f" ({len(known)} of {len(values)})" if len(known) < len(values) else ""
    return f"{statistics.mean(known):.5g}{spread}{few}"
