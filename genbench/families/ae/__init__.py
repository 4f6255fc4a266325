"""The autoencoder: the code of an image is one point."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from genbench.config import (
    ART,
    COLOURED,
    MEANING,
    Config,
    Count,
    PictureConfig,
    Positive,
    Range,
)
from genbench.families.family import Family
from genbench.scalars import Scalar

WIDE = 256  # units a layer, from which bfloat16 pays


@dataclass(frozen=True)
class AEConfig(PictureConfig):
    """Train an autoencoder: the code of an image is one point."""

    model: ClassVar[str] = "ae"
    data_sets = (*Config.data_sets, *ART)
    whole_batches: ClassVar[bool] = False
    digit_size: ClassVar[int] = 0

    # mnist-mini (bundled), mnist, fashion-mnist, cifar10, synthetic-art, folder, abstract-art, ...
    data: Annotated[str, MEANING] = "mnist-mini"
    epochs: Count = 10  # passes over the training split
    batch_size: Count = 64  # images a step
    eval_every: Annotated[int, Range(0)] = 0  # epochs between two scores of samples (0: none)
    arch: Literal["mlp", "conv"] = "mlp"  # fully connected or strided convolutions
    latent_dim: Count = 16  # numbers in the code of an image
    width: Annotated[int, Range(4)] = 512  # units a hidden layer (conv: 8 x the deepest channels)
    depth: Annotated[int, Range(1, 8)] = 2  # hidden layers (conv: stages, each halving the image)
    activation: Literal["relu", "leaky_relu", "elu", "silu", "gelu", "tanh"] = "silu"
    # p(x|z): bernoulli takes grey values as probabilities; gaussian, a density, and
    # discretized-logistic, of bytes, have one sigma for all pixels (auto: bernoulli of digits,
    # gaussian of pictures)
    likelihood: Annotated[
        Literal["auto", "bernoulli", "gaussian", "discretized-logistic"], MEANING
    ] = "auto"
    sigma: Annotated[float, Positive] = 0.1  # the likelihood's standard deviation, at the start
    learn_sigma: bool = True  # learn sigma with the weights, or keep it fixed

    def __post_init__(self) -> None:
        """Choose the likelihood too, where it is left open."""
        super().__post_init__()
        if self.likelihood == "auto":
            chosen = "gaussian" if self.data in (*ART, *COLOURED) else "bernoulli"
            object.__setattr__(self, "likelihood", chosen)

    @property
    def gains(self) -> frozenset[str]:
        """Products of wide layers take half the time in bfloat16; small ones the casts eat up."""
        return frozenset({"bf16"} if self.arch == "mlp" and self.width >= WIDE else ())

    def objective(self, n_val: int) -> tuple[str, str]:
        """The reconstruction term of the loss."""
        return "reconstruction", "minimize"


NATS = "nats an image"
PIXELS = ("binarize",)  # fields that say what is reconstructed
DENSITY = (*PIXELS, "likelihood")  # and by which density
RECONSTRUCTION_SCALARS = {
    "loss": Scalar(title="Loss", unit=NATS, digits=2, depends=DENSITY),
    "reconstruction": Scalar(
        title="Reconstruction", unit=NATS, better="minimize", digits=2, depends=DENSITY
    ),
    "bce": Scalar(
        title="Reconstruction, BCE", unit=NATS, better="minimize", digits=2, depends=PIXELS
    ),
    "mse": Scalar(
        title="Reconstruction, MSE", unit="a pixel", better="minimize", digits=5, depends=PIXELS
    ),
    "psnr": Scalar(
        title="Reconstruction, PSNR", unit="dB", better="maximize", digits=2, depends=PIXELS
    ),
}
FAMILY = Family(
    config=AEConfig,
    title="AE",
    implementation="genbench.families.ae.steps:STEPS",
    can=frozenset({"encode", "decode"}),
    scalars=RECONSTRUCTION_SCALARS,
    small="latent_dim",
)
