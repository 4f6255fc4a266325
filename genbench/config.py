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
WandbMode = Literal["auto", "online", "offline", "disabled"]


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
FOLDER = "folder"  # marks a path: `~` is expanded, empty is refused


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
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise UserError(f"{name}={value!r}: must be {hint.__name__}, not {type(value).__name__}")
    if hint is float and not math.isfinite(value):
        raise UserError(f"{name}={value}: must be finite")
    for limit in limits:
        if limit == FOLDER and value:
            value = str(Path(value).expanduser())
        elif limit == FOLDER:
            raise UserError(f"{name}: is empty; name a folder")
        elif value not in limit:
            raise UserError(f"{name}={value}: must be {limit}")
    return value


@dataclass(frozen=True)
class Config(Checked):
    """What every training has: data, budget, seed, device, record."""

    model: ClassVar[str]
    data_sets: ClassVar[tuple[str, ...]] = ("mnist-mini", "mnist", "fashion-mnist")
    whole_batches: ClassVar[bool] = False  # leave out what does not fill a batch
    # Fields that say where and how a run is kept, not what it computes.
    RUNTIME: ClassVar[frozenset[str]] = frozenset(
        {"data_dir", "device", "wandb", "runs_dir", "group", "save"}
    )

    data: str = "mnist-mini"  # data set: mnist-mini (bundled), mnist, fashion-mnist
    data_dir: str = ""  # where data sets lie (default: $GENBENCH_DATA, else the user's cache)
    epochs: Count = 10  # passes over the training split
    batch_size: Count = 64  # images a step
    lr: Annotated[float, Positive] = 2e-3  # Adam's learning rate
    seed: Seed = 0  # of weights, batches and noise; the splits do not vary
    patience: Annotated[int, Range(0)] = 0  # stop after so many epochs without gain (0: never)
    log_every: Count = 20  # steps between two logs of the training scalars
    eval_every: Annotated[int, Range(0)] = 0  # epochs between two scores of samples (0: none)
    eval_images: Annotated[int, Range(50)] = 500  # pictures a side of these scores
    test: bool = False  # score the test split, once, at the end
    save: bool = True  # keep checkpoints, pictures and latents beside the scalars
    device: Device = "auto"  # auto: cuda, else mps, else cpu
    wandb: WandbMode = "auto"  # auto: online if a key is configured, else offline
    runs_dir: Annotated[str, FOLDER] = "runs"  # the run records go here, one folder a run
    group: str = ""  # name shared by runs that belong together (W&B's group)

    @classmethod
    def check(cls, name: str, value: Any) -> Any:
        """Refuse unknown data sets too."""
        if name == "data" and value not in cls.data_sets:
            known = ", ".join(cls.data_sets)
            raise UserError(f"data={value!r}: unknown to {cls.model}; choose one of {known}")
        return super().check(name, value)

    def key(self, ignore: frozenset[str] = frozenset()) -> str:
        """Eight hex digits of the model, genbench's version and each field that changes weights."""
        left_out = self.RUNTIME | ignore | {"log_every", "test"}
        fields = {k: v for k, v in dataclasses.asdict(self).items() if k not in left_out}
        text = json.dumps([self.model, __version__, fields], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def objective(self, n_val: int) -> tuple[str, str]:
        """The validation scalar that picks the best epoch of n_val pictures, and its direction."""
        raise NotImplementedError

    @property
    def experiment(self) -> str:
        """The key without the seed: what repetitions of one experiment share."""
        return self.key(frozenset({"seed"}))


@dataclass(frozen=True)
class AEConfig(Config):
    """Train an autoencoder: the code of an image is one point."""

    model: ClassVar[str] = "ae"

    arch: Literal["mlp", "conv"] = "mlp"  # fully connected or strided convolutions
    latent_dim: Count = 16  # numbers in the code of an image
    width: Annotated[int, Range(4)] = 512  # units a hidden layer (conv: 8 x the deepest channels)
    depth: Annotated[int, Range(1, 8)] = 2  # hidden layers (conv: stages, each halving the image)
    activation: Literal["relu", "leaky_relu", "elu", "silu", "gelu", "tanh"] = "silu"
    # p(x|z): bernoulli takes grey values as probabilities, gaussian has one sigma for all pixels
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    sigma: Annotated[float, Positive] = 0.1  # gaussian: standard deviation, where it starts
    learn_sigma: bool = True  # gaussian: learn sigma with the weights, or keep it fixed

    def objective(self, n_val: int) -> tuple[str, str]:
        """The reconstruction term of the loss."""
        return "reconstruction", "minimize"


@dataclass(frozen=True)
class VAEConfig(AEConfig):
    """Train a variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114)."""

    model: ClassVar[str] = "vae"

    beta: Annotated[float, Range(0)] = 1.0  # weight of the KL in the loss (Higgins et al. 2017)
    kl_warmup: Annotated[float, Range(0)] = 0.0  # epochs over which beta rises linearly from 0
    free_bits: Annotated[float, Range(0)] = 0.0  # nats of KL a latent dimension has for free
    binarize: Literal["none", "dynamic"] = "none"  # dynamic: pixels drawn anew as 0 or 1
    importance_samples: Count = 1  # draws of z an image; more: trains on the IWAE bound

    def __post_init__(self) -> None:
        """Raise `UserError` also where two fields contradict each other."""
        super().__post_init__()
        if self.binarize != "none" and self.likelihood != "bernoulli":
            raise UserError(
                f"binarize={self.binarize} needs likelihood=bernoulli, not {self.likelihood}"
            )
        if self.importance_samples > 1 and (self.beta, self.kl_warmup, self.free_bits) != (1, 0, 0):
            raise UserError(
                f"importance_samples={self.importance_samples}: the bound has no separate KL; "
                "leave beta at 1, kl_warmup and free_bits at 0"
            )

    def objective(self, n_val: int) -> tuple[str, str]:
        """The ELBO, whatever beta is."""
        return "elbo", "maximize"


AUGMENTATIONS = ("color", "translation", "cutout")
LARGEST_IMAGE = 512


@dataclass(frozen=True)
class GANConfig(Config):
    """Train a GAN on pictures (Goodfellow et al. 2014, arXiv:1406.2661)."""

    model: ClassVar[str] = "gan"
    data_sets = (
        *("synthetic-art", "abstract-art", "propaganda-debian", "folder"),
        *Config.data_sets,
    )
    whole_batches: ClassVar[bool] = True

    data: str = "synthetic-art"  # synthetic-art, folder, abstract-art, propaganda-debian, mnist-...
    data_dir: str = ""  # folder: the pictures; else where data sets lie
    image_size: int = 64  # side in pixels, a power of two
    crops: Annotated[int, Range(0)] = 0  # random squares cut from a picture (0: its centre)
    images: Annotated[int, Range(16)] = 6000  # synthetic-art: pictures to train on
    held_out: Annotated[int, Range(16)] = 1500  # synthetic-art: for validation and for test, each
    epochs: Count = 25  # passes over the training split
    minutes: Annotated[float, Range(0)] = 0.0  # stop after so much training time (0: never)
    batch_size: Count = 16  # images a step
    lr: Annotated[float, Positive] = 5e-4  # Adam's learning rate, of the generator

    arch: Literal["dcgan", "palette"] = "palette"  # as published in 2015, or for a small budget
    width: Annotated[int, Range(2)] = 16  # scales the channels of both networks
    latent_dim: Count = 128  # numbers in z
    loss: Literal["bce", "lsgan", "hinge", "wgan-gp", "r3"] = "bce"
    r1: Annotated[float, Range(0)] = 0.3  # weight of the gradient penalty at reals (0: none)
    r2: Annotated[float, Range(0)] = 0.3  # weight of the gradient penalty at fakes (0: none)
    gp: Annotated[float, Range(0)] = 10.0  # wgan-gp: weight of its penalty
    penalty_every: Count = 16  # steps between penalties, each then so many times as heavy
    spectral_norm: bool = False  # of the discriminator's weights
    label_smoothing: Annotated[float, Range(0, 0.5)] = 0.0  # bce: reals' target is 1 minus this
    diffaugment: str = ""  # any of color,translation,cutout, for what the discriminator sees
    ada_target: Annotated[float, Range(0, 1)] = 0.0  # r_t that steers diffaugment (0: always on)
    ema: Annotated[float, Range(0, 1)] = 0.998  # decay of the generator's average (0: none)
    d_steps: Count = 1  # discriminator's steps for one of the generator
    lr_ratio: Annotated[float, Positive] = 1.0  # discriminator's learning rate / generator's
    lr_decay: Annotated[float, Range(0, 1)] = 0.5  # final share in which lr falls to 0 (0: none)
    beta1: Annotated[float, Range(0, 0.999)] = 0.0  # Adam's decay of the gradient's mean
    beta2: Annotated[float, Range(0, 0.9999)] = 0.99  # and of its square
    amp: bool = False  # bfloat16 where the device is fast at it (a CPU without it is 20 x slower)
    eval_every: Annotated[int, Range(0)] = 5  # epochs between two scores of samples (0: none)

    def __post_init__(self) -> None:
        """Raise `UserError` also for a size, a policy or a pair of fields that cannot be."""
        super().__post_init__()
        size = self.image_size
        if size & (size - 1) or not 16 <= size <= LARGEST_IMAGE:
            raise UserError(f"image_size={size}: must be a power of two, 16 to {LARGEST_IMAGE}")
        for name in self.diffaugment.split(","):
            if self.diffaugment and name not in AUGMENTATIONS:
                choices = ", ".join(AUGMENTATIONS)
                raise UserError(f"diffaugment={self.diffaugment!r}: any of {choices}, by commas")
        if self.ada_target and not self.diffaugment:
            raise UserError(f"ada_target={self.ada_target} steers diffaugment: name its policies")
        if self.label_smoothing and self.loss != "bce":
            raise UserError(f"label_smoothing={self.label_smoothing} needs loss=bce")
        if self.data == "folder" and not self.data_dir:
            raise UserError("data=folder: name the folder of pictures with --data_dir")

    def objective(self, n_val: int) -> tuple[str, str]:
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
    storage: str = ""  # URL of the study's database, for several machines (default: in runs_dir)
    sweep: str = ""  # W&B sweep file with the search space (default: the one in sweeps/)
    pareto: bool = False  # two objectives: the metric and a small latent_dim (GAN: few seconds)
    device: Device = "auto"  # auto: cuda, else mps, else cpu
    wandb: WandbMode = "auto"  # auto: online if a key is configured, else offline

    @property
    def given(self) -> dict[str, Any]:
        """What stands in place of the sweep file's fixed values."""
        flags = {"data": self.data, "data_dir": self.data_dir, "epochs": self.epochs}
        return {name: value for name, value in flags.items() if value}


SCORES = ("fd", "kid", "isc", "prc", "kl", "fd_infinity", "memorization", "nll")


@dataclass(frozen=True)
class EvaluateConfig(Checked):
    """How `genbench evaluate` scores."""

    # efficientnet-lite0, lenet-digits (for digits), inception-v3-compat, others of torch-fidelity's
    extractor: str = "efficientnet-lite0"
    extractor_weights: str = ""  # file with its weights, if not those shipped or downloaded
    n: Annotated[int, Range(50)] = 1_500  # pictures a side; fewer where there are not so many
    seeds: Count = 3  # sets of samples drawn from each model
    seed: Seed = 1  # of the first
    split: Literal["test", "train", "both"] = "both"  # real pictures: held out, or trained on
    # any of fd, kid, isc, prc (precision, recall), kl, fd_infinity, memorization, nll, by commas
    metrics: str = "fd,kid,isc,prc,kl,memorization,nll"
    prior: Literal["mixture", "gaussian"] = "mixture"  # fitted to an AE's codes: 10 Gaussians or 1
    data_dir: str = ""  # where the runs' data lie now, if not where they did
    image_size: Annotated[int, Range(0)] = 0  # folders: resize all to such squares (0: as they are)
    device: Device = "auto"  # auto: cuda, else mps, else cpu
    wandb: WandbMode = "auto"  # auto: online if a key is configured, else offline

    def __post_init__(self) -> None:
        """Raise `UserError` also for an unknown metric."""
        super().__post_init__()
        if not self.scores or set(self.scores) - set(SCORES):
            raise UserError(f"metrics={self.metrics!r}: any of {', '.join(SCORES)}, by commas")

    @property
    def scores(self) -> tuple[str, ...]:
        """The metrics by name."""
        parts = (part.strip() for part in self.metrics.split(","))
        return tuple(dict.fromkeys(part for part in parts if part))
