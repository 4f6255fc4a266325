"""The default GAN against the DCGAN of 2015: python experiments/gan_versus_dcgan.py.

Same data, same training time, same score.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

from genbench import UserError
from genbench.cli import guard, parse
from genbench.config import FOLDER, Checked, Count, Device, Positive, Range, WandbMode
from genbench.console import print_table, say
from genbench.families.gan import DCGAN, GANConfig
from genbench.handlers import Diverged
from genbench.metrics import ScoreName
from genbench.record import Record, finished
from genbench.record.provenance import git
from genbench.stats import Sample, share
from genbench.train import train

FOREVER = 1_000_000  # epochs: the minutes end the training
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
        dataclasses.replace(default, **DCGAN, width=width, batch_size=batch)
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
    if run := _ended(config):
        return run
    try:
        train(config, title=title)
    except Diverged as error:
        say(f"{title}: {error}")
    run = _ended(config)
    assert run  # it has just ended
    return run


def _ended(config: GANConfig) -> Record | None:
    commit = git("rev-parse", "HEAD")
    return finished(config.runs_dir, config.key, config.seed, commit, config.test, or_diverged=True)


def _kid(run: Record) -> float:
    names = map(ScoreName.parse, run.scores)
    kids = [name for name in names if (name.split, name.metric) == ("val", "kid")]
    return run.scores[str(kids[0])] if kids else math.nan


def table(sides: dict[str, list[Record]]) -> list[list[str]]:
    """A header, and a row a distance and its floor: mean ± std over seeds, a column a side.

    The last column is the first side's mean divided by the second's. Below the distances stands how
    steady the trainings were (`stability.summarise`).
    """
    runs = list(sides.values())
    names = map(ScoreName.parse, dict.fromkeys(name for run in chain(*runs) for name in run.scores))
    rows = [["", *sides, "ratio"]]
    for name in names:
        if name.is_sample_score and name.split != "val":
            values = [[run.scores.get(str(name)) for run in side] for side in runs]
            ratio = [] if name.floor else [_ratio(values[0], values[1])]
            rows.append([str(name), *map(_mean_std, values), *ratio])
    steady: list[list[dict[str, Any]]] = [
        [{**run.summary.get("stability", {})} for run in side] for side in runs
    ]
    for scalar in ("oscillation_d", "oscillation_g", "saturated_epochs"):
        rows.append([scalar, *(_mean_std([one.get(scalar) for one in side]) for side in steady)])
    for event in ("collapsed", "diverged"):
        rows.append([event, *(share([one.get(event, False) for one in side]) for side in steady)])
    return [[*row, ""][: len(sides) + 2] for row in rows]


def _finite(values: Values) -> list[float]:
    """What there is: a run that diverged has no scores, and NaNs, which JSON keeps as words."""
    numbers = [float(value) for value in values if value is not None]
    return [number for number in numbers if math.isfinite(number)]


def _ratio(first: Values, second: Values) -> str:
    a, b = _finite(first), _finite(second)
    if not a or not b or Sample.of(b).mean <= 0:  # KID may be below 0
        return "none"
    return f"{Sample.of(a).mean / Sample.of(b).mean:.3f}"


def _mean_std(values: Values) -> str:
    known = _finite(values)
    if not known:
        return "none"
    sample = Sample.of(known)
    spread = "" if sample.std is None else f" ± {sample.std:.4g}"
    few = f" ({len(known)} of {len(values)})" if len(known) < len(values) else ""
    return f"{sample.mean:.5g}{spread}{few}"


def main() -> None:
    """Compare as the command line says, and print the table."""
    options = parse(ContestConfig)
    header, *rows = table(contest(options))
    print_table(header, rows)
    print(f"genbench report --runs_dir={options.runs_dir} --data={options.data} tells more")


if __name__ == "__main__":
    guard(main)
