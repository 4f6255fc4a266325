"""The autoencoder: the code of an image is one point."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from genbench.config import MEANING, Config, Count, Positive, Range
from genbench.families.family import Family
from genbench.scalars import Scalar


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
    likelihood: Annotated[Literal["bernoulli", "gaussian"], MEANING] = "bernoulli"
    sigma: Annotated[float, Positive] = 0.1  # gaussian: standard deviation, where it starts
    learn_sigma: bool = True  # gaussian: learn sigma with the weights, or keep it fixed

    def objective(self, n_val: int) -> tuple[str, str]:
        """The reconstruction term of the loss."""
        return "reconstruction", "minimize"


NATS = "nats an image"
RECONSTRUCTION_SCALARS = {
    "loss": Scalar(title="Loss", unit=NATS, digits=2),
    "reconstruction": Scalar(title="Reconstruction", unit=NATS, better="minimize", digits=2),
    "bce": Scalar(title="Reconstruction, BCE", unit=NATS, better="minimize", digits=2),
    "mse": Scalar(title="Reconstruction, MSE", unit="a pixel", better="minimize", digits=5),
    "psnr": Scalar(title="Reconstruction, PSNR", unit="dB", better="maximize", digits=2),
}
FAMILY = Family(
    config=AEConfig,
    title="AE",
    implementation="genbench.families.ae.steps:STEPS",
    can=frozenset({"encode", "decode"}),
    scalars=RECONSTRUCTION_SCALARS,
    small="latent_dim",
)
