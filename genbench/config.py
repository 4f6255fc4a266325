"""Frozen, flat configurations: one scalar field = command-line flag = YAML key = W&B column.

Nothing here imports torch, so that `--help` is instant.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from genbench import UserError, __version__
from genbench.fields import FIXED as FIXED
from genbench.fields import FOLDER as FOLDER
from genbench.fields import HYPER_PARAMETER as HYPER_PARAMETER
from genbench.fields import LOGGING as LOGGING
from genbench.fields import MEANING as MEANING
from genbench.fields import PICTURES as PICTURES
from genbench.fields import PLACE as PLACE
from genbench.fields import REPETITION as REPETITION
from genbench.fields import RUNTIME as RUNTIME
from genbench.fields import SEARCHS_OWN as SEARCHS_OWN
from genbench.fields import Checked as Checked
from genbench.fields import Count as Count
from genbench.fields import Positive as Positive
from genbench.fields import Range as Range
from genbench.fields import Role as Role
from genbench.fields import Seed as Seed
from genbench.fields import roles as roles

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16"]
Compile = Literal["auto", "True", "False"]
WandbMode = Literal["auto", "online", "offline", "disabled", "run", "dryrun", "shared"]
LEAST = 50  # pictures a side of a distance that chooses between epochs or settings
FEWEST = 10  # and of one that is said at all: of a small gallery, with a word that it is wide


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
    lr_decay: Annotated[float, Range(0, 1)] = 0.5  # final share in which lr falls to 0 (0: none)
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
    # epochs between two grids of pictures (0: each of the first 50 if they cost little, then fewer)
    pictures_every: Annotated[int, Range(0), LOGGING] = 0
    device: Annotated[Device, RUNTIME] = "auto"  # auto: cuda, else mps, else cpu
    # of the networks in training, no loss or score (auto: bf16 where the machine gains by it)
    precision: Annotated[Precision, FIXED] = "auto"
    # compile the networks that are trained (auto: where a long training gains more than it takes)
    compile: Annotated[Compile, RUNTIME] = "auto"
    # auto: online if a key is configured, else offline
    wandb: Annotated[WandbMode, RUNTIME] = "auto"
    runs_dir: Annotated[str, FOLDER, RUNTIME] = "runs"  # the run records go here, one folder a run
    # name shared by runs that belong together (W&B's group)
    group: Annotated[str, SEARCHS_OWN] = ""
    project: Annotated[str, RUNTIME] = ""  # W&B's project (default: $WANDB_PROJECT, else genbench)
    entity: Annotated[str, RUNTIME] = ""  # W&B's user or team (default: $WANDB_ENTITY, else yours)
    # what W&B calls the run (default: $WANDB_NAME, else what differs from the family's defaults)
    name: Annotated[str, RUNTIME] = ""
    tags: Annotated[str, RUNTIME] = ""  # more tags in W&B, by commas (default: $WANDB_TAGS)
    notes: Annotated[str, RUNTIME] = ""  # what W&B says below the name (default: $WANDB_NOTES)
    # what the run is in W&B (default: $WANDB_JOB_TYPE, else train, or trial in a sweep)
    job_type: Annotated[str, SEARCHS_OWN] = ""
    # W&B has best.pt and last.pt too (which keep_checkpoints=all leaves for it)
    wandb_artifacts: Annotated[bool, RUNTIME] = False

    def __post_init__(self) -> None:
        """Raise `UserError` also for checkpoints that are to be uploaded and not to be kept."""
        super().__post_init__()
        if self.wandb_artifacts and self.keep_checkpoints != "all":
            raise UserError(
                f"keep_checkpoints={self.keep_checkpoints}: wandb_artifacts uploads all of them; "
                "keep all, and `genbench runs rm --checkpoints` removes them later"
            )

    @classmethod
    def check(cls, name: str, value: Any) -> Any:
        """Refuse unknown data sets too."""
        if name == "data" and value not in cls.data_sets:
            known = ", ".join(cls.data_sets)
            raise UserError(f"data={value!r}: unknown to {cls.model}; choose one of {known}")
        if name == "compile" and isinstance(value, bool):
            value = str(value)
        return super().check(name, value)

    @classmethod
    def of_record(cls, values: Mapping[str, Any]) -> Self:
        """The configuration in a record, of an earlier genbench too.

        Raises:
            TypeError: It has a field that is unknown here.
            UserError: A value cannot be.
        """
        return cls(**cls.recorded(values))

    @staticmethod
    def recorded(values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a record as they are called now.

        Before there was `precision`, trainings were in float32 but where a GAN's `amp` was set.
        """
        rest = {name: value for name, value in values.items() if name != "amp"}
        earlier = {"precision": "bf16" if values.get("amp") else "fp32", "compile": "False"}
        return earlier | rest

    @property
    def gains(self) -> frozenset[str]:
        """What of `bf16` and `compile` makes its training on a CPU faster, as measured."""
        return frozenset()

    @property
    def key(self) -> str:
        """Eight hex digits of all that repetitions of one experiment share.

        These are the model, genbench's version and each field that changes weights but the seed;
        `precision` as it is settled (`genbench.speed`), where that is bf16.
        """
        keyed = {name for name, role in roles(type(self)).items() if role.key}
        keyed -= set() if self.precision == "bf16" else {"precision"}
        fields = {name: value for name, value in dataclasses.asdict(self).items() if name in keyed}
        text = json.dumps([self.model, __version__, fields], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def folder(self) -> str | None:
        """Where its pictures lie, which is no part of the key; None where `data` says it all."""
        return self.data_dir if self.data == "folder" else None

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
    """Search hyper-parameters with Optuna, then train the best ones over several seeds."""

    trials: Count = 30  # trials to add to the study
    timeout: Annotated[float, Positive] = 720.0  # seconds after which no new trial starts
    workers: Count = 1  # processes, each with its share of the cores
    epochs: Annotated[int, Range(0)] = 0  # epochs a trial (0: the sweep file's, or the model's)
    final_epochs: Annotated[int, Range(0)] = 0  # epochs of the final trainings (0: 2 x epochs)
    final_seeds: Count = 3  # trainings of the best, each with a seed that chose nothing
    data: str = ""  # data set (default: the sweep file's, or the model's)
    data_dir: str = ""  # where data sets lie (default: $GENBENCH_DATA, else the user's cache)
    runs_dir: Annotated[str, FOLDER] = "runs"  # the run records and the study go here
    seed: Seed = 0  # of the sampler and of the trials; finals use the next ones
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
    # W&B's project (default: $WANDB_PROJECT, else the sweep file's, else genbench)
    project: str = ""
    entity: str = ""  # and its user or team (default: $WANDB_ENTITY, else the sweep file's)
    name: str = ""  # what W&B calls the search (default: the study's name)
    tags: str = ""  # more tags in W&B of all its runs, by commas (default: $WANDB_TAGS)
    notes: str = ""  # what W&B says below the search's name

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
    draws: Count = 5_000  # of z a picture, for nll (Burda et al. 2016)
    split: Literal["test", "train", "both"] = "both"  # real pictures: held out, or trained on
    # by commas: fd, kid, isc, prc (precision, recall), dc (density, coverage), kl, fd_infinity,
    # vendi, authpct, memorization, nll, or those that you registered; empty: all but fd_infinity,
    # vendi and authpct
    metrics: str = ""
    # what is fitted to the codes to draw from: 10 Gaussians or 1; empty: the model's own prior, of
    # those that have none a mixture
    prior: Literal["", "mixture", "gaussian"] = ""
    data_dir: str = ""  # where the runs' data lie now, if not where they did
    image_size: Annotated[int, Range(0)] = 0  # folders: resize all to such squares (0: as they are)
    device: Device = "auto"  # auto: cuda, else mps, else cpu
    wandb: WandbMode = "auto"  # auto: online if a key is configured, else offline
