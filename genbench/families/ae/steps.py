"""Autoencoder: encoder and decoder trained to give an image back through a narrow code."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from genbench.families.ae import AEConfig
from genbench.families.ae.nets import make_decoder, make_encoder
from genbench.families.labels import Labelled, given
from genbench.families.state import Shape, State, Steps
from genbench.losses import (
    Scalars,
    ae_loss,
    bernoulli_nll,
    discretized_logistic_nll,
    gaussian_nll,
    image_errors,
)
from genbench.parallel import backward, split


class Sigma(nn.Module):
    """The standard deviation of a likelihood, learned or fixed."""

    def __init__(self, sigma: float, learn: bool):
        super().__init__()
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma)), requires_grad=learn)


def build_autoencoder(
    config: AEConfig,
    shape: Shape,
    steps_per_epoch: int,
    device: str,
    code_size: int,
    classes: int = 0,
) -> State[Any]:
    """Modules and Adam for an encoder with `code_size` outputs and its decoder, seeded.

    Both are told the class where there are classes (as in Sohn et al. 2015).
    """
    torch.manual_seed(config.seed)
    net = (config.width, config.depth, config.activation)
    (channels, height, columns), codes = shape, config.latent_dim
    of_class = int(classes > 0)  # a channel and as many numbers again
    encoder = make_encoder(config.arch, (channels + of_class, height, columns), code_size, *net)
    decoder = make_decoder(config.arch, shape, (1 + of_class) * codes, *net)
    modules = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    if classes:
        modules["encoder"] = Labelled(encoder, classes, (1, height, columns), std=0.0)
        modules["decoder"] = Labelled(decoder, classes, (codes,), std=1.0)
    if config.likelihood != "bernoulli":
        modules["sigma"] = Sigma(config.sigma, config.learn_sigma)
    modules.to(device)
    optimizer = torch.optim.Adam(modules.parameters(), lr=config.lr, fused=device != "mps")
    rng = torch.Generator(device).manual_seed(config.seed)
    z_shape = (config.latent_dim,)
    return State(config, modules, {"adam": optimizer}, rng, z_shape, steps_per_epoch)


def reconstruction_nll(state: State[Any], logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x|z) in nats under the configured likelihood, (B,)."""
    if state.config.likelihood == "bernoulli":
        return bernoulli_nll(logits, x)
    log_sigma = state.modules["sigma"].get_parameter("log_sigma")
    nll = gaussian_nll if state.config.likelihood == "gaussian" else discretized_logistic_nll
    return nll(torch.sigmoid(logits), x, log_sigma)


def update(state: State[Any], loss: Tensor) -> None:
    """One optimiser step down the gradient of `loss`."""
    optimizer = state.optimizers["adam"]
    optimizer.zero_grad()
    backward(loss, state.modules.parameters())
    optimizer.step()
    state.step += 1


def build(config: AEConfig, shape: Shape, steps_per_epoch: int, device: str) -> State[AEConfig]:
    """A new autoencoder and its optimiser."""
    return build_autoencoder(config, shape, steps_per_epoch, device, config.latent_dim)


def train_step(state: State[AEConfig], x: Tensor) -> Scalars:
    """One update on x (B, C, H, W)."""
    scalars = ae_loss(split(lambda x: reconstruction_nll(state, reconstruct(state, x), x), x))
    update(state, scalars["loss"])
    return {name: value.detach() for name, value in scalars.items()}


def eval_step(state: State[AEConfig], x: Tensor, rng: torch.Generator) -> Scalars:
    """The training scalars and the image errors of x (B, C, H, W)."""
    logits = split(lambda x: reconstruct(state, x), x)
    return ae_loss(reconstruction_nll(state, logits, x)) | image_errors(logits, x)


def reconstruct(state: State[Any], x: Tensor) -> Tensor:
    """x (B, C, H, W) -> the logits of x_hat, the same shape."""
    return decode_logits(state, encode(state, x))


def encode(state: State[Any], x: Tensor) -> Tensor:
    """x (B, C, H, W) -> z (B, D)."""
    return state.net("encoder")(x)


def decode_logits(state: State[Any], z: Tensor, y: Tensor | None = None) -> Tensor:
    """z (B, D) -> logits (B, C, H, W)."""
    return state.net("decoder")(z, *given(y))


def decode(state: State[Any], z: Tensor, y: Tensor | None = None) -> Tensor:
    """z (B, D) -> x_hat (B, C, H, W) in [0, 1], the mean of p(x|z)."""
    return torch.sigmoid(decode_logits(state, z, y))


STEPS = Steps(build, train_step, eval_step, encode, decode)
