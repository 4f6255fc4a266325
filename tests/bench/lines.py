"""What is measured: lines of two tasks each, single programs, and how cost grows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Call = tuple[str, dict[str, Any]]  # a task and its arguments
Answer = dict[str, Any]


def seconds(ours: Answer, theirs: Answer) -> float:
    """Our seconds over theirs, for the same work."""
    return float(ours["seconds"] / theirs["seconds"])


def pace(ours: Answer, theirs: Answer) -> float:
    """Our seconds an image over theirs."""
    return seconds(ours, theirs) * float(theirs["images"] / ours["images"])


def memory(ours: Answer, theirs: Answer) -> float:
    """Our peak memory over theirs."""
    return float(ours["peak_mb"] / theirs["peak_mb"])


def until_as_good(ours: Answer, theirs: Answer) -> float:
    """The seconds after which ours has their last validation ELBO, over all of theirs."""
    reached = (t for t, elbo in ours["curve"] if elbo >= theirs["curve"][-1][1])
    return float(next(reached, float("inf")) / theirs["curve"][-1][0])


@dataclass(frozen=True)
class Line:
    """Two tasks that do the same work, and the ratio that is wanted at most.

    `quick` are the arguments that `make bench` changes; None: it leaves the line out. `seeded`:
    each pair has a seed of its own, since the ratio depends on it.
    """

    part: str
    title: str  # what ours does
    peer: str  # what theirs is
    ours: Call
    theirs: Call
    target: float | None = None
    quick: dict[str, Any] | None = None
    compare: Callable[[Answer, Answer], float] = seconds
    seeded: bool = False

    @property
    def name(self) -> str:
        """What tells it from others."""
        return f"{self.title} | {self.peer}"


@dataclass(frozen=True)
class Program:
    """A task by itself, and the seconds that are wanted at most."""

    title: str
    call: Call
    target: float


@dataclass(frozen=True)
class Growth:
    """A task at several sizes: `what` is the argument, `answer` the seconds that are compared."""

    title: str
    task: str
    what: str
    sizes: tuple[int, ...]
    arguments: dict[str, Any]
    linear: str = ""  # where more than linear is expected: why
    answer: str = "seconds"


FIXED = {"precision": "fp32", "compile": "False"}
DCGAN = {"arch": "dcgan", "loss": "bce", "r1": 0.0, "r2": 0.0, "ema": 0.0, "width": 32}
DCGAN |= {"lr": 2e-4, "beta1": 0.5, "beta2": 0.999, "lr_decay": 0.0}
SMALL = {"pictures": 640, "batch_size": 16}
EPOCHS = 18  # over 9,000 digits: as many steps as 3 over 54,000
SHORT = {"epochs": 6}

LINES = (
    Line(
        "Training",
        "VAE, W&B offline",
        "a bare loop",
        ("vae", {"epochs": EPOCHS}),
        ("bare_vae", {"epochs": EPOCHS}),
        1.0,
        SHORT,
    ),
    Line(
        "Training",
        "VAE, no W&B",
        "a bare loop",
        ("vae", {"epochs": EPOCHS, "wandb": "disabled"}),
        ("bare_vae", {"epochs": EPOCHS}),
        1.0,
    ),
    Line(
        "Training",
        "VAE, W&B offline",
        "Ignite's VAE example (a DataLoader with a transform an image)",
        ("vae", {"epochs": EPOCHS}),
        ("ignite_vae", {"epochs": EPOCHS}),
        1.0,
        SHORT,
    ),
    Line(
        "Training",
        "VAE, W&B offline",
        "pythae 0.1.2",
        ("vae", {"epochs": EPOCHS}),
        ("pythae_vae", {"epochs": EPOCHS}),
        1.0,
        SHORT,
    ),
    Line(
        "Training",
        "VAE of 72 epochs, until it has the last ELBO of",
        "a bare loop of 120 (of 9,000 digits: 20 of 54,000)",
        ("vae", {"epochs": 72}),
        ("bare_vae", {"epochs": 120}),
        0.7,
        compare=until_as_good,
        seeded=True,
    ),
    Line(
        "Training",
        "DCGAN at 64 px, W&B offline",
        "Ignite's DCGAN example",
        ("gan", SMALL | DCGAN | {"epochs": 6}),
        ("ignite_dcgan", SMALL | {"epochs": 6, "width": 32}),
        1.0,
        {"epochs": 1},
        pace,
    ),
    Line(
        "Training",
        "default GAN at 64 px, a step",
        "itself with --precision=fp32 --compile=False",
        ("steps", {"model": "gan", "count": 64}),
        ("steps", {"model": "gan", "count": 64} | FIXED),
        1 / 1.3,
        {"count": 16},
    ),
    Line(
        "Training",
        "flow at 64 px, a step",
        "itself with --precision=fp32 --compile=False",
        ("steps", {"model": "flow", "count": 128}),
        ("steps", {"model": "flow", "count": 128} | FIXED),
        quick={"count": 32},
    ),
    Line(
        "Training",
        "default GAN over 20,000 pictures, read as they are needed, a step",
        "all in memory",
        ("streamed", {"count": 48, "pictures": 20_000, "stream": True}),
        ("streamed", {"count": 48, "pictures": 20_000, "stream": False}),
        1.03,
    ),
    Line(
        "Memory",
        "VAE, W&B offline: peak of the training process",
        "a bare loop",
        ("vae", {"epochs": 3}),
        ("bare_vae", {"epochs": 3}),
        1.15,
        {},
        memory,
    ),
    Line(
        "Scoring",
        "FD, KID, precision and recall of 1,000 pictures of 64 px",
        "torch-fidelity by the same network",
        ("scores", {"pictures": 1_000}),
        ("torch_fidelity_scores", {"pictures": 1_000}),
        1.0,
        {"pictures": 300},
    ),
    Line(
        "Searching",
        "a grid of 16 trials of an epoch",
        "Optuna alone, calling the same training",
        ("search", {"trials": 16}),
        ("optuna_alone", {"trials": 16}),
        1.1,
        {"trials": 6},
    ),
    Line(
        "Searching",
        "a grid of 16 trials of an epoch, two workers",
        "one worker",
        ("search", {"trials": 16, "workers": 2}),
        ("search", {"trials": 16}),
    ),
    Line(
        "In company",
        "two trainings at once",
        "one after the other",
        ("at_once", {"n": 2, "epochs": 6}),
        ("in_turn", {"n": 2, "epochs": 6}),
        1.3,
        {"epochs": 3},
    ),
    Line(
        "Several processes",
        "default GAN at 64 px by torchrun's two processes",
        "one process on as many cores: ideally 1",
        ("processes", {"n": 2, "epochs": 2}),
        ("processes", {"n": 1, "epochs": 2}),
    ),
)

RECORDS = "--runs_dir=RECORDS"
PROGRAMS = (
    Program("first step of a VAE", ("first_step", {"script": "experiments/vae.py"}), 5.0),
    Program(
        "first step of a GAN",
        ("first_step", {"script": "experiments/gan.py", "images": 640, "eval_every": 0}),
        5.0,
    ),
    Program("--help", ("program", {"arguments": ["experiments/vae.py", "--help"]}), 0.5),
    Program(
        "genbench runs, 1,000 runs",
        ("program", {"arguments": ["genbench", "runs", RECORDS]}),
        1.0,
    ),
    Program(
        "genbench report, 1,000 runs",
        ("program", {"arguments": ["genbench", "report", RECORDS, "--out=FOLDER/report"]}),
        20.0,
    ),
)
GROWTHS = (
    Growth(
        "pictures to train on, an epoch of a DCGAN",
        "gan",
        "pictures",
        (500, 1_000, 2_000),
        DCGAN | {"width": 8, "batch_size": 16, "epochs": 1},
    ),
    Growth(
        "side of a picture in pixels, 16 steps of the default GAN",
        "steps",
        "image_size",
        (32, 64, 128),
        {"model": "gan", "count": 16},
        "work is in pixels, which grow by its square",
    ),
    Growth(
        "width of a DCGAN, 16 steps at 64 px",
        "steps",
        "width",
        (16, 32, 64),
        {"model": "gan", "count": 16} | {k: v for k, v in DCGAN.items() if k != "width"},
        "a convolution's weights grow by its square",
    ),
    Growth(
        "trials in a study, one more that takes no time",
        "empty_trials",
        "trials",
        (20, 100, 1_000),
        {},
        answer="last",
    ),
    Growth("runs in a report", "report", "runs", (10, 100, 1_000), {}),
    Growth(
        "pictures in a folder, read for the first time",
        "first_read",
        "pictures",
        (200, 2_000, 20_000),
        {},
    ),
)
