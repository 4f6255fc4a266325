"""Frozen, flat configurations: one scalar field = command-line flag = YAML key = W&B column.

Nothing here imports torch, so that `--help` is instant.
"""

import dataclasses
import functools
import hashlib
import json
import math
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from genbench import UserError, __version__

Device = Literal["auto", "cpu", "cuda", "mps"]
WandbMode = Literal["auto", "online", "offline", "disabled", "run", "dryrun", "shared"]


@dataclass(frozen=True)
class Range:
    """The values that a numeric field may take: low (or above it) to high."""

    low: float
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        lower = f"{'above' if self.above else 'at least'} {self.low:.10g}"
        return lower if math.isinf(self.high) else f"{lower} and at most {self.high:.10g}"


Positive = Range(0, above=True)
Count = Annotated[int, Range(1)]
Seed = Annotated[int, Range(0, 2**31 - 1)]
LEAST = 50  # pictures a side of a distance that chooses between epochs or settings
FEWEST = 10  # and of one that is said at all: of a small gallery, with a word that it is wide
FOLDER = "folder"  # marks a path: `~` is expanded, empty is refused


@dataclass(frozen=True)
class Role:
    """What other parts of genbench may do with a field; it stands in the field's `Annotated`.

    key: It changes the weights and is no repetition, so that it tells experiments apart
        (`Config.key`).
    shown: Tables of hyper-parameters have it.
    sweep: A sweep file may `search` it, or only `fix` it; others its parameters may not name: a
        `flag` of its command may set them, or it is the search's `own` alone.
    compare: Scores of runs that differ in it are of unlike kinds, and share no table.
    """

    key: bool = True
    shown: bool = True
    sweep: Literal["search", "fix", "flag", "own"] = "search"
    compare: bool = False


HYPER_PARAMETER = Role()  # of a field that says nothing else
RUNTIME = Role(key=False, shown=False, sweep="flag")  # where and how a run is kept
PLACE = Role(key=False, shown=False, sweep="fix")  # where the data lie
LOGGING = Role(key=False, shown=False)
REPETITION = Role(key=False, shown=False, sweep="own")  # the seed
SEARCHS_OWN = Role(key=False, shown=False, sweep="own")
FIXED = Role(sweep="fix")
PICTURES = Role(compare=True)  # which pictures there are, and how they are cut
MEANING = Role(sweep="fix", compare=True)  # what the data and the losses are


@dataclass(frozen=True)
class Checked:
    """A frozen dataclass whose fields are held to their annotations when it is made."""

    def __post_init__(self) -> None:
        """Raise `UserError` for a field of a wrong type, choice or range."""
        for field in dataclasses.fields(self):
            value = self.check(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)

    @classmethod
    def check(cls, name: str, value: Any) -> Any:
        """`value` as the field `name` holds it, or a `UserError` if it alone is wrong."""
        hints = _hints(cls)  # type: ignore[arg-type]  # mypy takes the class for an instance
        return _checked(name, hints[name], value)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _checked(name: str, hint: Any, value: Any) -> Any:
    """`value` if it fits the annotation (an int becomes a float where one is wanted)."""
    limits: list[Any] = []
    if typing.get_origin(hint) is Annotated:
        hint, *limits = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise UserError(f"{name}={value!r}: choose one of {', '.join(choices)}")
        return value
    if hint is float and type(value) in (int, float):
        value = float(value) + 0.0  # which is not -0.0
    if type(value) is not hint:
        raise UserError(f"{name}={value!r}: must be {hint.__name__}, not {type(value).__name__}")
    if hint is float and not math.isfinite(value):
        raise UserError(f"{name}={value}: must be finite")
    for limit in limits:
        if isinstance(limit, Role):
            continue
        if limit == FOLDER and value:
            value = str(Path(value).expanduser())
        elif limit == FOLDER:
            raise UserError(f"{name}: is empty; name a folder")
        elif value not in limit:
            raise UserError(f"{name}={value}: must be {limit}")
    return value


def roles(kind: type) -> dict[str, Role]:
    """The role of each field of a configuration."""
    by_name = {}
    for field in dataclasses.fields(kind):
        marks = getattr(_hints(kind)[field.name], "__metadata__", ())
        stated = [mark for mark in marks if isinstance(mark, Role)]
        by_name[field.name] = stated[0] if stated else HYPER_PARAMETER
    return by_name


@dataclass(frozen=True)
class Config(Checked):
    """What every training has: data, budget, seed, device, record."""

    model: ClassVar[str]
    data_sets: ClassVar[tuple[str, ...]] = ("mnist-mini", "mnist", "fashion-mnist", "cifar10")
    whole_batches: ClassVar[bool] = False  # leave out what does not fill a batch

    data: Annotated[str, MEANING] = (
        "mnist-mini"  # mnist-mini (bundled), mnist, fashion-mnist, cifar10
    )
    # where data sets lie (default: $GENBENCH_DATA, else the user's cache)
    data_dir: Annotated[str, PLACE] = ""
    epochs: Count = 10  # passes over the training split
    minutes: Annotated[float, Range(0), FIXED] = 0.0  # end after so much training time (0: never)
    batch_size: Count = 64  # images a step
    lr: Annotated[float, Positive] = 2e-3  # Adam's learning rate
    lr_decay: Annotated[float, Range(0, 1)] = 0.0  # final share in which lr falls to 0 (0: none)
    conditional: Annotated[bool, FIXED] = False  # learn classes, and draw pictures of each
    seed: Annotated[Seed, REPETITION] = 0  # of weights, batches and noise; the splits do not vary
    patience: Annotated[int, Range(0)] = 0  # stop after so many epochs without gain (0: never)
    log_every: Annotated[Count, LOGGING] = 20  # steps between two logs of the training scalars
    # minutes between two checkpoints within an epoch (0: only after epochs)
    checkpoint_minutes: Annotated[float, Range(0), LOGGING] = 5.0
    eval_every: Annotated[int, Range(0)] = 0  # epochs between two scores of samples (0: none)
    eval_images: Annotated[int, Range(LEAST)] = 500  # pictures a side of these scores
    test: Annotated[bool, SEARCHS_OWN] = False  # score the test split, once, at the end
    save: Annotated[bool, RUNTIME] = True  # keep checkpoints, pictures and latents too
    # of these checkpoints, those that a finished run keeps; with all it can be trained further
    keep_checkpoints: Annotated[Literal["all", "best", "none"], RUNTIME] = "all"
    # epochs between two grids of pictures (0: each of the first 50, then ever fewer)
    pictures_every: Annotated[int, Range(0), LOGGING] = 0
    device: Annotated[Device, RUNTIME] = "auto"  # auto: cuda, else mps, else cpu
    # auto: online if a key is configured, else offline
    wandb: Annotated[WandbMode, RUNTIME] = "auto"
    runs_dir: Annotated[str, FOLDER, RUNTIME] = "runs"  # the run records go here, one folder a run
    group: Annotated[str, SEARCHS_OWN] = (
        ""  # name shared by runs that belong together (W&B's group)
    )

    @classmethod
    def check(cls, name: str, value: Any) -> Any:
        """Refuse unknown data sets too."""
        if name == "data" and value not in cls.data_sets:
            known = ", ".join(cls.data_sets)
            raise UserError(f"data={value!r}: unknown to {cls.model}; choose one of {known}")
        return super().check(name, value)

    @property
    def key(self) -> str:
        """Eight hex digits of all that repetitions of one experiment share.

        These are the model, genbench's version and each field that changes weights but the seed.
        """
        keyed = {name for name, role in roles(type(self)).items() if role.key}
        fields = {name: value for name, value in dataclasses.asdict(self).items() if name in keyed}
        text = json.dumps([self.model, __version__, fields], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def objective(self, n_val: int) -> tuple[str, str]:
        """The validation scalar that picks the best epoch of n_val pictures, and its direction."""
        raise NotImplementedError


LARGEST_IMAGE = 512
COLOURED = ("cifar10",)  # of the sets that have labels
ART = ("synthetic-art", "abstract-art", "propaganda-debian", "folder")
LEAST_HELD_OUT = 16
PAINTED = 1_500  # pictures of synthetic-art that are held out where a configuration does not say


@dataclass(frozen=True)
class PictureConfig(Config):
    """What a training on pictures has: painted ones, a folder's, or digits."""

    data_sets = (*ART, *Config.data_sets)
    whole_batches: ClassVar[bool] = True
    digit_size: ClassVar[int] = 32  # of 28, and a margin; 0: as they are

    # synthetic-art, folder, abstract-art, propaganda-debian, or digits: mnist-mini, mnist,
    # fashion-mnist; cifar10
    data: Annotated[str, MEANING] = "synthetic-art"
    data_dir: Annotated[str, PLACE] = ""  # folder: the pictures; else where data sets lie
    # side in pixels, a power of two (0: 64, of digits 32, or for AE and VAE as they are)
    image_size: Annotated[int, PICTURES] = 0
    crops: Annotated[int, Range(0), PICTURES] = 0  # random squares of a picture (0: its centre)
    images: Annotated[int, Range(16), PICTURES] = 6000  # synthetic-art: pictures to train on
    # pictures for the test (0: of a folder a tenth, of synthetic-art 1,500, and as many for val)
    held_out: Annotated[int, Range(0), PICTURES] = 0
    epochs: Count = 25  # passes over the training split
    batch_size: Count = 16  # images a step
    eval_every: Annotated[int, Range(0)] = 5  # epochs between two scores of samples (0: none)

    def __post_init__(self) -> None:
        """Raise `UserError` also for a size that cannot be, or a folder that is not named."""
        super().__post_init__()
        usual = 64 if self.data in ART else self.digit_size
        size = self.image_size or usual
        object.__setattr__(self, "image_size", size)
        if size != usual and (size & (size - 1) or not 16 <= size <= LARGEST_IMAGE):
            raise UserError(f"image_size={size}: must be a power of two, 16 to {LARGEST_IMAGE}")
        if 0 < self.held_out < LEAST_HELD_OUT:
            raise UserError(f"held_out={self.held_out}: must be 0 or at least {LEAST_HELD_OUT}")
        if self.data == "folder" and not self.data_dir:
            raise UserError("data=folder: name the folder of pictures with --data_dir")

    def sample_distance(self, n_val: int) -> tuple[str, str]:
        """KID while training: unbiased, so that it orders epochs at a small N."""
        return f"kid_lite0_n{min(self.eval_images, n_val)}", "minimize"


@dataclass(frozen=True)
class SearchConfig(Checked):
    """Search hyper-parameters with Optuna, then train the best ones over three seeds."""

    trials: Count = 30  # trials to add to the study
    timeout: Annotated[float, Positive] = 720.0  # seconds after which no new trial starts
    workers: Count = 1  # processes, each with its share of the cores
    epochs: Annotated[int, Range(0)] = 0  # epochs a trial (0: the sweep file's, or the model's)
    final_epochs: Annotated[int, Range(0)] = 0  # epochs of the final trainings (0: 2 x epochs)
    data: str = ""  # data set (default: the sweep file's, or the model's)
    data_dir: str = ""  # where data sets lie (default: $GENBENCH_DATA, else the user's cache)
    runs_dir: Annotated[str, FOLDER] = "runs"  # the run records and the study go here
    seed: Seed = 0  # of the sampler and of the trials; finals use the next 3
    # best trials that are trained again with another seed before one is chosen by the mean, and
    # held against the defaults over the finals' seeds (-1: 3 of GANs, whose scores depend on the
    # seed; else 0)
    again: Annotated[int, Range(-1)] = -1
    # URL of the study's database, for several machines: one of Optuna's, or grpc://HOST:PORT of
    # genbench storage (default: a SQLite file in runs_dir)
    storage: str = ""
    sweep: str = ""  # W&B sweep file with the search space (default: the family's, in sweeps/)
    # two objectives: the metric and what the family keeps small, latent_dim or seconds
    pareto: bool = False
    device: Device = "auto"  # auto: cuda, else mps, else cpu
    wandb: WandbMode = "auto"  # auto: online if a key is configured, else offline

    @property
    def given(self) -> dict[str, Any]:
        """What stands in place of the sweep file's fixed values."""
        flags = {"data": self.data, "data_dir": self.data_dir, "epochs": self.epochs}
        return {name: value for name, value in flags.items() if value}


@dataclass(frozen=True)
class EvaluateConfig(Checked):
    """How `genbench evaluate` scores."""

    # efficientnet-lite0, lenet-digits (for digits), inception-v3-compat, others of torch-fidelity's
    extractor: str = "efficientnet-lite0"
    extractor_weights: str = ""  # file with its weights, if not those shipped or downloaded
    n: Annotated[int, Range(FEWEST)] = 1_500  # pictures a side; fewer where there are not so many
    seeds: Count = 3  # sets of samples drawn from each model
    seed: Seed = 1  # of the first
    split: Literal["test", "train", "both"] = "both"  # real pictures: held out, or trained on
    # by commas: fd, kid, isc, prc (precision, recall), kl, fd_infinity, memorization, nll, or those
    # that you registered; empty: all but fd_infinity
    metrics: str = ""
    prior: Literal["mixture", "gaussian"] = (
        "mixture"  # fitted to codes that have none: 10 Gaussians or 1
    )
    data_dir: str = ""  # where the runs' data lie now, if not where they did
    image_size: Annotated[int, Range(0)] = 0  # folders: resize all to such squares (0: as they are)
    device: Device = "auto"  # auto: cuda, else mps, else cpu
    wandb: WandbMode = "auto"  # auto: online if a key is configured, else offline
