"""Published likelihoods, trained again: python experiments/reproduce.py --fraction=0.01.

A row a published number: its configuration is in experiments/published/, the number that was
published here. It may be stopped at any time: the same command goes on. Writes reproduced.md.
"""

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from beside_pythae import fit, wrapped

from genbench import UserError, load
from genbench.cli import guard, parse, read_flat
from genbench.config import FOLDER, Checked, Count, Device, Range, WandbMode
from genbench.console import say
from genbench.data import Data, load_data
from genbench.device import pick_device
from genbench.evaluate.likelihood import likelihood
from genbench.families.vae import VAEConfig
from genbench.fields import chosen
from genbench.files import whole, writable, write_json, writing
from genbench.metrics.cache import feature_cache
from genbench.model import Model
from genbench.record import Record, finished
from genbench.stats import Sample, compare
from genbench.train import train_once

import torch  # after genbench, which tells its threads how to wait  # isort: skip

PUBLISHED = Path(__file__).with_name("published")
PAGE = "reproduced.md"


@dataclass(frozen=True)
class Row:
    """A published -log p(x) of the test digits, in nats, and how it was estimated."""

    name: str  # of its file in experiments/published/
    title: str
    nll: float
    source: str
    draws: int  # of z a digit, for the estimate
    unlike: str  # in what our training differs
    pythae: bool = False  # pythae is trained beside it, for the same seconds


DECAY = "lr falls linearly to 0 (theirs: by 10^(1/7) after 3^i passes)"
DIGITS = "54,000 training digits (theirs: 50,000 or 60,000)"
OWN_PIXELS = "pixels drawn with our seed (Larochelle's files could not be had)"
ROWS = (
    Row(
        "burda-vae",
        "VAE",
        86.76,
        "Burda et al. 2016, table 1",
        5_000,
        f"{DECAY}; Adam's epsilon 1e-8 (1e-4); {DIGITS}",
    ),
    Row(
        "burda-iwae-50",
        "IWAE, k = 50",
        84.78,
        "Burda et al. 2016, table 1",
        5_000,
        f"{DECAY}; Adam's epsilon 1e-8 (1e-4); {DIGITS}",
    ),
    Row(
        "burda-iwae-50-static",
        "IWAE, k = 50, pixels binarised once",
        87.10,
        "Burda et al. 2016, appendix D; pythae has 86.82",
        5_000,
        f"{DECAY}; Adam's epsilon 1e-8 (1e-4); {DIGITS}; {OWN_PIXELS}",
    ),
    Row(
        "rezende-vae",
        "VAE, pixels binarised once",
        89.9,
        "Rezende & Mohamed 2015, table 2; pythae has 89.78",
        200,
        "networks and length are pythae's, not the paper's; lr falls linearly to 0 (pythae: in "
        f"five steps); {DIGITS}; {OWN_PIXELS}",
        pythae=True,
    ),
)
BY_NAME = {row.name: row for row in ROWS}


@dataclass(frozen=True)
class ReproduceConfig(Checked):
    """Train published configurations again, and hold their likelihoods beside the published."""

    rows: str = ""  # by commas, which (default: all)
    fraction: Annotated[float, Range(0, 1, above=True)] = 0.01  # of the published epochs
    seeds: Count = 2  # trainings of each
    pictures: Count = 10_000  # test digits that are scored
    digits: str = "mnist"  # or mnist-mini, to try it
    data_dir: str = ""  # where the digits lie (default: $GENBENCH_DATA, else the user's cache)
    runs_dir: Annotated[str, FOLDER] = "runs/reproduce"  # the run records go here
    out: Annotated[str, FOLDER] = "reports"  # and the table
    device: Device = "auto"  # auto: cuda, else mps, else cpu
    wandb: WandbMode = "auto"  # auto: online if a key is configured, else offline

    @property
    def scored(self) -> int:
        """How many digits are scored: there may be fewer than are asked for."""
        return min(self.pictures, 2_000 if self.digits == "mnist-mini" else 10_000)


def chosen_rows(options: ReproduceConfig) -> list[Row]:
    """The rows that are asked for.

    Raises:
        UserError: There is no row of such a name.
    """
    return list(chosen("rows", options.rows, BY_NAME).values())


def configure(row: Row, options: ReproduceConfig, seed: int) -> VAEConfig:
    """A row's configuration, over the fraction of its epochs."""
    published = read_flat(PUBLISHED / f"{row.name}.yaml", VAEConfig)
    return dataclasses.replace(
        published,
        epochs=max(1, round(options.fraction * published.epochs)),
        data=options.digits,
        data_dir=options.data_dir,
        seed=seed,
        group=f"published {row.name}",
        test=True,
        precision="fp32",  # as the papers and pythae
        compile="False",
        runs_dir=options.runs_dir,
        device=options.device,
        wandb=options.wandb,
    )


def nll(model: Model, row: Row, options: ReproduceConfig) -> float:
    """-log p(x) of the test digits in nats, by the row's draws of z."""
    found = likelihood(model, "test", feature_cache(), row.draws, options.pictures)
    return float(found["nll"])


def seconds_of_steps(run: Record) -> float:
    """What a training's steps took, without validation, pictures and scores."""
    _, rates = run.curve("train", "images_per_second")
    return sum(run.about["images"]["train"] / rate for rate in rates)


def ours(row: Row, options: ReproduceConfig) -> tuple[list[Record], Sample]:
    """The trainings of a row, and what they give to the test digits.

    Raises:
        UserError: One of them diverged.
    """
    runs, found = [], []
    for seed in range(1, options.seeds + 1):
        config = configure(row, options, seed)
        if train_once(config, f"{row.name}, seed {seed}") is None:
            raise UserError(f"{row.name}: the training with seed {seed} diverged")
        run = finished(options.runs_dir, config.key, seed, commit=None)
        assert run  # it has just been trained
        model = load(run.path, options.device)
        model.data = load_data(config, str(model.device))
        runs.append(run)
        found.append(nll(model, row, options))
        say(f"{row.name}, seed {seed}: {found[-1]:.2f} nats (published: {row.nll})")
    return runs, Sample.of(found)


def theirs(row: Row, options: ReproduceConfig, seconds: float) -> Sample:
    """pythae's VAE with the same networks for as many seconds of steps, scored as ours is.

    Raises:
        UserError: pythae is not installed.
    """
    found = []
    for seed in range(1, options.seeds + 1):
        config = configure(row, options, seed)
        device = pick_device(config.device)
        data = load_data(config, device)
        model = Model.build(config, data, device)
        name = f"{row.name}-{data.content_hash[:8]}-{config.key}-{seconds:.0f}s-{seed}.pt"
        place = Path(options.runs_dir) / "pythae" / name
        if not place.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            passes, took = train_pythae(model, data, seconds, place.parent)
            say(f"pythae, seed {seed}: {passes} passes in {took:.0f} s of {seconds:.0f}")
            with whole(place) as file:
                torch.save(model.state.modules.state_dict(), file)
        weights = torch.load(place, map_location=device, weights_only=True)
        model.state.modules.load_state_dict(weights)
        found.append(nll(model, row, options))
        say(f"pythae, seed {seed}: {found[-1]:.2f} nats")
    return Sample.of(found)


def train_pythae(model: Model, data: Data, seconds: float, folder: Path) -> tuple[int, float]:
    """Train a new model's networks by pythae's trainer; how many passes, and their seconds.

    The passes are as many as fit into `seconds`, by the time that the second of two takes, which
    are not counted; it does not validate.
    """
    config, networks = model.config, model.state.modules
    vae = wrapped(networks["encoder"], networks["decoder"], model.shape, config.latent_dim)
    train = data.splits["train"].images.float().div(255)
    start = {name: value.clone() for name, value in networks.state_dict().items()}

    def passes(n: int) -> float:
        begun = time.monotonic()
        fit(
            vae,
            train,
            None,
            str(folder),
            num_epochs=n,
            per_device_train_batch_size=config.batch_size,
            learning_rate=config.lr,
            no_cuda=model.device.type == "cpu",
            scheduler_cls="LinearLR",
            scheduler_params={"start_factor": 1.0, "end_factor": 1.0 / n, "total_iters": n},
            seed=config.seed,
        )
        return time.monotonic() - begun

    once = passes(1)  # which warms up, too
    n = max(1, round(seconds / max(passes(2) - once, once / 10)))
    networks.load_state_dict(start)
    return n, passes(n)


def line(row: Row, options: ReproduceConfig) -> list[str]:
    """Train what is missing of a row; its cells."""
    runs, found = ours(row, options)
    seconds = sum(map(seconds_of_steps, runs)) / len(runs)
    config = runs[0].config
    beside = "—"
    if row.pythae:
        other = theirs(row, options, seconds)
        comparison = compare(found, other)
        verdict = "differ" if comparison.differ else "not shown to differ"
        beside = f"{other.show(2)} ({verdict}: {comparison.basis})"
    published = read_flat(PUBLISHED / f"{row.name}.yaml", VAEConfig).epochs
    command = (
        f"`python experiments/reproduce.py --rows={row.name} --fraction={options.fraction:g} "
        f"--seeds={options.seeds} --pictures={options.pictures} --digits={options.digits}`"
    )
    return [
        f"{row.title} ({row.source})",
        f"{row.nll:g}",
        found.show_interval(2),
        f"{config['epochs']} of {published:,}",
        f"{seconds:.0f}",
        beside,
        row.unlike,
        command,
    ]


HEAD = [
    *("model and source", "published (nats)", "ours (nats) [95 % interval]", "epochs"),
    *("seconds of steps", "pythae 0.1.2, networks and seconds as ours", "unlike the published"),
    "command",
]


def kept(row: Row, options: ReproduceConfig) -> Path:
    """Where a row's cells are, of these digits, pictures, seeds and fraction."""
    about = f"{options.digits}-{options.pictures}-{options.seeds}-{options.fraction:g}"
    return Path(options.runs_dir) / "rows" / about / f"{row.name}.json"


def write_page(options: ReproduceConfig) -> Path:
    """The table of all rows that have been trained."""
    path, files = Path(options.out) / PAGE, [kept(row, options) for row in ROWS]
    lines = [json.loads(file.read_text())["cells"] for file in files if file.is_file()]
    cells = [HEAD, ["---"] * len(HEAD), *lines]
    table = "\n".join(f"| {' | '.join(row)} |" for row in cells)
    text = (
        "# Published likelihoods, trained again\n\n"
        f"-log p(x) of {options.scored:,} test digits of {options.digits} by importance sampling "
        "with as many draws of z as in the paper; lower is better. The interval is over "
        f"{options.seeds} training seeds; of each training the best epoch by validation is scored, "
        "of pythae's the last. Seconds are those of the steps, without "
        "validation. Where only a part of the published epochs was trained, as the table "
        "says, nothing is said of what the rest would give; `--fraction=1` trains it. In what else "
        f"a row differs from what was published its last columns say.\n\n{table}\n"
    )
    with writing(f"out={options.out}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return path


def main() -> None:
    """Train what is missing, and write the table after every row."""
    options = parse(ReproduceConfig)
    for row in chosen_rows(options):
        cells = line(row, options)
        with writable(options.runs_dir):
            kept(row, options).parent.mkdir(parents=True, exist_ok=True)
        write_json(kept(row, options), {"cells": cells})
        path = write_page(options)
    print(f"Table:  {path.resolve()}")


if __name__ == "__main__":
    guard(main)
