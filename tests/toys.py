"""Two families and a metric that genbench does not know, as somebody else would write them."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import nn

from genbench.config import Config, Count, Range
from genbench.families import Family
from genbench.families.state import State, Steps
from genbench.metrics import Metric
from genbench.scalars import Scalar


@dataclass(frozen=True)
class ToyConfig(Config):
    """Train a linear autoencoder whose codes are taken for normal."""

    model: ClassVar[str] = "toy"

    latent_dim: Count = 4
    shrink: Annotated[float, Range(0, 1)] = 0.1  # weight of the codes' square in the loss

    def objective(self, n_val):
        """The error alone."""
        return "error", "minimize"


@dataclass(frozen=True)
class NoiseConfig(ToyConfig):
    """Train a picture that noise is added to."""

    model: ClassVar[str] = "noise"


def build(config, shape, steps_per_epoch, device):
    torch.manual_seed(config.seed)
    pixels = shape[0] * shape[1] * shape[2]
    modules = nn.ModuleDict(
        {
            "encoder": nn.Sequential(nn.Flatten(), nn.Linear(pixels, config.latent_dim)),
            "decoder": nn.Sequential(nn.Linear(config.latent_dim, pixels), nn.Unflatten(1, shape)),
        }
    ).to(device)
    adam = torch.optim.Adam(modules.parameters(), lr=config.lr)
    noise = torch.Generator(device).manual_seed(config.seed)
    return State(config, modules, {"adam": adam}, noise, (config.latent_dim,), steps_per_epoch)


def losses(state, x):
    z = encode(state, x)
    error = (decode(state, z) - x).square().flatten(1).sum(1).mean()
    return {"loss": error + state.config.shrink * z.square().sum(1).mean(), "error": error}


def train_step(state, x):
    scalars = losses(state, x)
    state.optimizers["adam"].zero_grad()
    scalars["loss"].backward()
    state.optimizers["adam"].step()
    state.step += 1
    return {name: value.detach() for name, value in scalars.items()}


def eval_step(state, x, generator):
    return losses(state, x)


def encode(state, x):
    return state.modules["encoder"](x)


def decode(state, z):
    return state.modules["decoder"](z).sigmoid()


STEPS = Steps(build, train_step, eval_step, encode, decode, generate=decode)
NOISE_STEPS = Steps(build, train_step, eval_step, generate=decode)
SCALARS = {
    "loss": Scalar(title="Toy loss", depends=("shrink",)),
    "error": Scalar(title="Toy error", unit="an image", better="minimize", digits=1),
}
TOY = Family(
    config=ToyConfig,
    title="Toy",
    implementation="toys:STEPS",
    can=frozenset({"encode", "decode", "generate"}),
    scalars=SCALARS,
    small="latent_dim",
)
NOISE = Family(
    config=NoiseConfig,
    title="Noisy picture",
    implementation="toys:NOISE_STEPS",
    can=frozenset({"generate"}),
    scalars=SCALARS,
)


def gap(samples, reals):
    """Distance of the means of features."""
    return float(abs(samples.features.mean(0) - reals.features.mean(0)).sum())


GAP = Metric(name="gap", title="Gap of means", better="minimize", digits=2, compute=gap)
