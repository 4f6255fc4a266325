"""Autoencoder: encoder and decoder trained to give an image back through a narrow code."""

import math

import torch
from torch import Tensor, nn

from genbench.config import AEConfig
from genbench.losses import Scalars, ae_loss, bernoulli_nll, gaussian_nll, image_errors
from genbench.models.nets import make_decoder, make_encoder
from genbench.models.recipe import Recipe, Shape, State


class Sigma(nn.Module):
    """The standard deviation of a Gaussian likelihood, learned or fixed."""

    def __init__(self, sigma: float, learn: bool):
        super().__init__()
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma)), requires_grad=learn)


def build_autoencoder(
    config: AEConfig, shape: Shape, steps_per_epoch: int, device: str, code_size: int
) -> State:
    """Modules and Adam for an encoder with `code_size` outputs and its decoder, seeded."""
    torch.manual_seed(config.seed)
    net = (config.width, config.depth, config.activation)
    modules = nn.ModuleDict(
        {
            "encoder": make_encoder(config.arch, shape, code_size, *net),
            "decoder": make_decoder(config.arch, shape, config.latent_dim, *net),
        }
    )
    if config.likelihood == "gaussian":
        modules["sigma"] = Sigma(config.sigma, config.learn_sigma)
    modules.to(device)
    optimizer = torch.optim.Adam(modules.parameters(), lr=config.lr, fused=device != "mps")
    generator = torch.Generator(device).manual_seed(config.seed)
    return State(modules, {"adam": optimizer}, generator, steps_per_epoch)


def reconstruction_nll(state: State, config: AEConfig, logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x|z) in nats under the configured likelihood, (B,)."""
    if config.likelihood == "bernoulli":
        return bernoulli_nll(logits, x)
    log_sigma = state.modules["sigma"].get_parameter("log_sigma")
    return gaussian_nll(torch.sigmoid(logits), x, log_sigma)


def update(state: State, loss: Tensor) -> None:
    """One optimiser step down the gradient of `loss`."""
    optimizer = state.optimizers["adam"]
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    state.step += 1


def build(config: AEConfig, shape: Shape, steps_per_epoch: int, device: str) -> State:
    """A new autoencoder and its optimiser."""
    return build_autoencoder(config, shape, steps_per_epoch, device, config.latent_dim)


def train_step(state: State, config: AEConfig, x: Tensor) -> Scalars:
    """One update on x (B, C, H, W)."""
    logits = decode(state, encode(state, x))
    scalars = ae_loss(reconstruction_nll(state, config, logits, x))
    update(state, scalars["loss"])
    return {name: value.detach() for name, value in scalars.items()}


def eval_step(state: State, config: AEConfig, x: Tensor, generator: torch.Generator) -> Scalars:
    """The training scalars and the image errors of x (B, C, H, W)."""
    logits = decode(state, encode(state, x))
    return ae_loss(reconstruction_nll(state, config, logits, x)) | image_errors(logits, x)


def encode(state: State, x: Tensor) -> Tensor:
    """x (B, C, H, W) -> z (B, D)."""
    return state.modules["encoder"](x)


def decode(state: State, z: Tensor) -> Tensor:
    """z (B, D) -> logits (B, C, H, W)."""
    return state.modules["decoder"](z)


RECIPE = Recipe(AEConfig, build, train_step, eval_step, encode, decode)
