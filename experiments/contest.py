"""Named models on equal terms: python experiments/contest.py --data=folder --data_dir=PICTURES.

Same pictures, same training time on this machine, same scores; see `SIDES`. It may be stopped at
any time: the same command goes on.
"""

import dataclasses
import math
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from genbench import UserError
from genbench.cli import guard, parse
from genbench.config import (
    FOLDER,
    LEAST,
    Checked,
    Config,
    Count,
    Device,
    Positive,
    Range,
    WandbMode,
)
from genbench.console import counted, print_table, say
from genbench.crew import train_all
from genbench.data import Batches, Data, load_data, steps_per_epoch
from genbench.device import pick_device
from genbench.evaluate.distances import sample_scores
from genbench.families import FAMILIES
from genbench.families.gan import DCGAN, GANConfig
from genbench.fields import chosen
from genbench.files import writable, write_json
from genbench.metrics import ScoreName
from genbench.model import Model
from genbench.record import Contest, Rung, read_contests, read_runs
from genbench.report.sections.contest import contest_table, sides_of, trial_name

import torch  # after genbench, which tells its threads how to wait  # isort: skip

CHOICES: dict[str, dict[str, Any]] = {  # of the DCGAN: what the paper leaves open, and lr
    f"width 32, batch {batch}, lr {lr:g}": {"width": 32, "batch_size": batch, "lr": lr}
    for batch in (16, 64)
    for lr in (2e-4, 1e-3)
}
WARM, ROUND, ROUNDS = 48, 16, 5  # steps of a calibration: before, in a round (see penalty_every)
SCORINGS = 10  # of a training's samples at most, evenly over its epochs
UNEQUAL = 0.1  # the share by which whole epochs may miss the minutes


@dataclass(frozen=True)
class Side:
    """A configuration: that of the side `like`, or a family's defaults, with some fields changed.

    A `step` of the ladder is trained with the first seed alone.
    """

    name: str
    like: str = ""
    model: str = "gan"
    change: Mapping[str, Any] = field(default_factory=dict)
    step: bool = False


PENALTIES = {"r1": 0.3, "r2": 0.3, "penalty_every": 16}
OPTIMISER = {"lr": 5e-4, "beta1": 0.0, "beta2": 0.99, "lr_decay": 0.5, "batch_size": 16}
SIDES = (
    Side("dcgan", change=DCGAN),
    Side("dcgan + ema", "dcgan", change={"ema": 0.998}),
    Side("+ r1 and r2", "dcgan + ema", change=PENALTIES, step=True),
    Side("+ diffaugment", "+ r1 and r2", change={"diffaugment": "color,translation"}, step=True),
    Side("+ optimiser", "+ diffaugment", change=OPTIMISER, step=True),
    Side(
        "+ discriminator: drift",
        "+ optimiser",
        change={"loss": "drift", "diffaugment": "", "lr": 1e-3},
        step=True,
    ),
    Side("default (+ generator: palette)"),
    Side(
        "palette with a trained discriminator",
        change={"loss": "bce", "lr": 5e-4, "diffaugment": "color,translation"},
        step=True,
    ),
    Side("flow", model="flow"),
    Side("vae", model="vae"),
)
BY_NAME = {side.name: side for side in SIDES}
DCGAN_SIDE = SIDES[0]


@dataclass(frozen=True)
class ContestConfig(Checked):
    """Train named models for the same time on the same pictures, and compare."""

    data: str = "synthetic-art"  # synthetic-art, propaganda-debian, abstract-art or folder
    data_dir: str = ""  # folder: the pictures
    image_size: int = 64  # side in pixels, a power of two
    crops: Annotated[int, Range(0)] = 0  # random squares cut from a picture (0: its centre)
    images: Annotated[int, Range(16)] = 6000  # synthetic-art: pictures to train on
    held_out: Annotated[int, Range(0)] = 0  # pictures for the test (0: a tenth, or 1,500 painted)
    minutes: Annotated[float, Positive] = 5.0  # training time of each, in steps of this machine
    seeds: Count = 3  # trainings of each; seed 0 only chooses the DCGAN's settings
    sides: str = ""  # by commas, which of them (default: all)
    choice: str = ""  # the DCGAN's settings where known, of a shorter contest (default: chosen)
    workers: Count = 1  # trainings at a time, each with its share of the cores; steps are the same
    runs_dir: Annotated[str, FOLDER] = "runs"  # the run records go here
    device: Device = "auto"  # auto: cuda, else mps, else cpu
    wandb: WandbMode = "auto"  # auto: online if a key is configured, else offline

    @property
    def name(self) -> str:
        """Of the contest, and of its file."""
        return f"contest-{self.data}-{self.image_size}px-{self.minutes:g}min"

    @property
    def common(self) -> dict[str, Any]:
        """What all sides share."""
        own = ("minutes", "seeds", "sides", "choice", "workers")
        fields = {k: v for k, v in dataclasses.asdict(self).items() if k not in own}
        return fields | {"seed": 0, "group": self.name, "test": True}


def lineage(side: Side) -> list[Side]:
    """What a side is built on, the first one at the front, and itself."""
    return [*(lineage(BY_NAME[side.like]) if side.like else []), side]


def configure(side: Side, options: ContestConfig, choice: str, **more: Any) -> Config:
    """The configuration of a side at seed 0; who builds on the DCGAN has what was chosen for it."""
    first, *others = lineage(side)
    changes = [first.change, CHOICES[choice] if first is DCGAN_SIDE else {}]
    changes += [other.change for other in others]
    fields = {name: value for change in changes for name, value in change.items()}
    alike = {"precision": "fp32", "compile": "False"}  # for all: a step changes what it says alone
    return FAMILIES[side.model].config(**alike | options.common | fields | more)


def contest(options: ContestConfig) -> Contest:
    """Calibrate and train what is not done yet; the record, which is written after every part.

    Raises:
        UserError: The pictures, the sides or the minutes cannot be used.
    """
    sides = list(chosen("sides", options.sides, BY_NAME).values())
    if options.choice and options.choice not in CHOICES:
        raise UserError(f"choice={options.choice!r}: unknown; any of: {'; '.join(CHOICES)}")
    data = load_data(GANConfig(**options.common), pick_device(options.device))  # all sides have it
    check_data(options, data)
    record = begin(options, data.content_hash)
    give(options.choice, record)
    if not record["choice"] and any(lineage(side)[0] is DCGAN_SIDE for side in sides):
        record["choice"] = choose(options, data, record)
        keep(options, record)
    configs = {side.name: configure(side, options, record["choice"]) for side in sides}
    missing = {name: c for name, c in configs.items() if not is_known(record, name, c)}
    for name in missing:
        if name in record["sides"]:  # of an earlier version, or with other fields
            record["milliseconds"].pop(name, None)
    measured = record["milliseconds"].keys() - missing.keys()
    known = {name: c for name, c in configs.items() if name in measured}
    calibrate(missing, data, record, known)
    keep(options, record)
    for name, n in lengths(missing, data, record, options).items():
        record["sides"][name] = rung(configs[name], data, record["milliseconds"][name], n)
        keep(options, record)
    jobs = []
    for seed in range(1, options.seeds + 1):
        for side in sides:
            if seed == 1 or not side.step:
                length = budget(record["sides"][side.name]["epochs"])
                config = dataclasses.replace(configs[side.name], seed=seed, **length)
                jobs.append((config, f"{side.name}, seed {seed}"))
    train_all(jobs, options.workers)
    return record


def give(choice: str, record: Contest) -> None:
    """Let the DCGAN have the settings that were given, if any; what had others is forgotten."""
    if not choice or choice == record["choice"]:
        return
    record["choice"] = choice
    of_dcgan = [side.name for side in SIDES if lineage(side)[0] is DCGAN_SIDE]
    for name in of_dcgan + [trial_name(other) for other in CHOICES]:
        record["sides"].pop(name, None)
        record["milliseconds"].pop(name, None)


def check_data(options: ContestConfig, data: Data) -> None:
    """Raise `UserError` where the pictures are too few to choose and to judge by."""
    for name, what in (("val", "choose an epoch"), ("test", "judge")):
        if (n := len(data.splits[name])) < LEAST:
            raise UserError(
                f"data={options.data}: {n} pictures to {what} by, {LEAST} needed; "
                "give more, or other --held_out or --crops"
            )


def begin(options: ContestConfig, data_hash: str) -> Contest:
    """The contest's record: what is there of it, else an empty one.

    Raises:
        UserError: It was begun on other pictures, or by other means.
    """
    means = pick_device(options.device), torch.get_num_threads()
    for there in read_contests(options.runs_dir):
        if there["name"] != options.name:
            continue
        if (there["held_out"], there["data_hash"]) != (options.held_out, data_hash):
            raise UserError(
                f"{options.name}: was begun with --held_out={there['held_out']} on pictures with "
                f"hash {there['data_hash'][:8]}, these have {data_hash[:8]} and "
                f"--held_out={options.held_out}; name another --runs_dir"
            )
        if (there["hardware"], there["threads"]) != means:
            raise UserError(
                f"{options.name}: was begun on {there['hardware']} with "
                f"{counted(there['threads'], 'thread')}, here it is {means[0]} with {means[1]}, on "
                "which a minute is another number of steps; name another --runs_dir"
            )
        return there
    return Contest(
        name=options.name,
        data=options.data,
        minutes=options.minutes,
        held_out=options.held_out,
        data_hash=data_hash,
        hardware=means[0],
        threads=means[1],
        choice="",
        milliseconds={},
        sides={},
    )


def is_known(record: Contest, name: str, config: Config) -> bool:
    """Whether the record has this side, and of this configuration."""
    there = record["sides"].get(name)
    if not there:
        return False
    return dataclasses.replace(config, **budget(there["epochs"])).key == there["key"]


def keep(options: ContestConfig, record: Contest) -> None:
    """Write the record to <runs_dir>/contests/NAME.json."""
    path = Path(options.runs_dir) / "contests" / f"{options.name}.json"
    with writable(options.runs_dir):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**record})


def choose(options: ContestConfig, data: Data, record: Contest) -> str:
    """Of `CHOICES` the one that serves the DCGAN best: the least validation KID at seed 0.

    Raises:
        UserError: No training has one.
    """
    titles = {trial_name(choice): choice for choice in CHOICES}
    configs = {
        t: configure(DCGAN_SIDE, options, choice, test=False) for t, choice in titles.items()
    }
    calibrate(configs, data, record)
    keep(options, record)
    epochs = lengths(configs, data, record, options)
    jobs = [(dataclasses.replace(c, **budget(epochs[t])), t) for t, c in configs.items()]
    found = zip(configs, train_all(jobs, options.workers), strict=True)
    kids = {title: kid for title, s in found if (kid := _kid(s or {})) is not None}
    if not kids:
        raise UserError(
            f"data={options.data}: no training of the DCGAN has a validation KID to choose by; "
            "more pictures (--crops) give one, other --minutes may"
        )
    return titles[min(kids, key=lambda title: kids[title])]


def calibrate(
    configs: Mapping[str, Config],
    data: Data,
    record: Contest,
    known: Mapping[str, Config] | None = None,
) -> None:
    """Measure the milliseconds a step of configurations, in turns: the median of their rounds.

    Args:
        configs: Those to measure, unless the record has them.
        data: The pictures.
        record: Of the contest.
        known: Others that it has. One of them is measured beside the new ones: their milliseconds
            are said as of the day when its were measured, however fast the machine is now.
    """
    todo = {name: config for name, config in configs.items() if name not in record["milliseconds"]}
    beside = dict([*(known or {}).items()][:1]) if todo else {}
    todo |= beside
    running = {name: _steps(config, data) for name, config in todo.items()}
    seconds: dict[str, list[float]] = {name: [] for name in running}
    for name, steps in running.items():
        say(f"Calibrating {name}: {WARM + ROUND * ROUNDS} steps")
        _take(steps, WARM)
    for _ in range(ROUNDS):
        for name, steps in running.items():
            seconds[name].append(_take(steps, ROUND) / ROUND)
    found = {name: 1e3 * statistics.median(rounds) for name, rounds in seconds.items()}
    pace = math.prod(record["milliseconds"][name] / found[name] for name in beside)
    record["milliseconds"] |= {name: pace * found[name] for name in todo if name not in beside}


def _steps(config: Config, data: Data) -> Iterator[None]:
    """Train a new model, a step at a time."""
    model = Model.build(config, data, pick_device(config.device))
    batches = Batches(data.splits["train"], config.batch_size, config.seed, config.whole_batches)
    model.state.modules.train()
    while True:
        for x, _ in batches:
            yield None
            model.steps.train_step(model.state, x)


def _take(steps: Iterator[None], n: int) -> float:
    """The seconds that n steps take."""
    started = time.monotonic()
    for _ in range(n):
        next(steps)
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.monotonic() - started


class Unequal(UserError):
    """A contest so short that whole epochs are not the same time for all."""


def lengths(
    configs: Mapping[str, Config], data: Data, record: Contest, options: ContestConfig
) -> dict[str, int]:
    """How many epochs the minutes are, of each configuration.

    Raises:
        Unequal: Of one they miss the minutes by more than a tenth.
    """
    n = len(data.splits["train"])
    each = {
        name: steps_per_epoch(n, config) * record["milliseconds"][name] / 60e3
        for name, config in configs.items()
    }
    whole = {name: max(1, round(options.minutes / epoch)) for name, epoch in each.items()}
    missed = {name: abs(whole[name] * each[name] / options.minutes - 1) for name in each}
    if missed and max(missed.values()) > UNEQUAL:
        worst = max(missed, key=missed.__getitem__)
        enough = math.ceil(50 * max(each.values())) / 10
        raise Unequal(
            f"minutes={options.minutes:g}: an epoch of {worst} takes {each[worst]:.2g}, so that "
            f"sides would not train equally long; give --minutes={enough:g} or more, or fewer "
            "pictures"
        )
    return whole


def budget(epochs: int) -> dict[str, Any]:
    """The fields that say how long to train, and when to score."""
    return {"epochs": epochs, "eval_every": -(-epochs // SCORINGS)}


def rung(config: Config, data: Data, milliseconds: float, length: int) -> Rung:
    """A side as the record has it: its budget, its size, and how its untrained network scores."""
    model = Model.build(dataclasses.replace(config, seed=1), data, pick_device(config.device))
    return Rung(
        key=dataclasses.replace(config, **budget(length)).key,
        model=config.model,
        epochs=length,
        steps=length * model.state.steps_per_epoch,
        milliseconds=milliseconds,
        parameters=model.state.parameters,
        untrained=sample_scores(model),
    )


def _kid(scores: Mapping[str, float]) -> float | None:
    names = map(ScoreName.parse, scores)
    kids = [name for name in names if (name.split, name.metric) == ("val", "kid")]
    return scores[str(kids[0])] if kids else None


def main() -> None:
    """Compare as the command line says, and print the table of the report."""
    options = parse(ContestConfig)
    record = contest(options)
    header, *rows = contest_table(record, sides_of(record, read_runs(options.runs_dir)))
    print_table(header, rows)
    print(f"genbench report --runs_dir={options.runs_dir} --data={options.data} tells more")


if __name__ == "__main__":
    guard(main)
