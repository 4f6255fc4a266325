"""Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114).

With beta (Higgins et al. 2017), linear KL warm-up (Bowman et al. 2016) and free bits
(Kingma et al. 2016); the ELBO that is reported has none of the three. With importance_samples it
is trained on a tighter bound (IWAE: Burda et al. 2016, arXiv:1509.00519). With labels y (B,) all
that is said of x is said given its class (Sohn et al. 2015, "Learning structured output").
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from genbench.families.ae.steps import (
    build_autoencoder,
    decode,
    decode_logits,
    reconstruction_nll,
    update,
)
from genbench.families.labels import given
from genbench.families.state import Shape, State, Steps
from genbench.families.vae import VAEConfig
from genbench.losses import (
    Scalars,
    image_errors,
    importance_bound,
    kl_standard_normal,
    log_normal,
    reparameterize,
    vae_loss,
)
from genbench.parallel import split

LOGVAR_CAP = 4.0


def build(
    config: VAEConfig, shape: Shape, steps_per_epoch: int, device: str, classes: int = 0
) -> State[VAEConfig]:
    """A new VAE and its optimiser; the encoder gives mu and logvar side by side."""
    return build_autoencoder(config, shape, steps_per_epoch, device, 2 * config.latent_dim, classes)


def beta_at(config: VAEConfig, epoch: float) -> float:
    """The KL's weight after `epoch` epochs: linear from 0 to beta during the warm-up."""
    return config.beta * (min(1.0, epoch / config.kl_warmup) if config.kl_warmup else 1.0)


def posterior(state: State[VAEConfig], x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """x (B, C, H, W) -> mu, logvar of q(z|x), both (B, D).

    logvar bends smoothly to stay below `LOGVAR_CAP`: a variance above the prior's never pays, and
    without a bound one outlying image overflows exp(logvar) and ends a long training as NaN.
    """
    mu, raw = split(state.net("encoder"), x, *given(y)).chunk(2, dim=1)
    return mu, LOGVAR_CAP - softplus(LOGVAR_CAP - raw)


def decoded_nll(state: State[VAEConfig], x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
    """-log p(x|z_k) in nats, (K, B), of x (B, C, H, W) and K codes of each, z (K, B, D)."""

    def nll(x: Tensor, z: Tensor, *y: Tensor) -> Tensor:
        draws = z.shape[1]
        codes, labels = z.transpose(0, 1).flatten(0, 1), (each.repeat(draws) for each in y)
        repeated = x.expand(draws, *x.shape).flatten(0, 1)
        found = reconstruction_nll(state, decode_logits(state, codes, *labels), repeated)
        return found.unflatten(0, (draws, len(x))).T

    return split(nll, x, z.transpose(0, 1), *given(y)).T


def bound(
    state: State[VAEConfig], x: Tensor, beta: float, rng: torch.Generator, y: Tensor | None = None
) -> tuple[Scalars, Tensor]:
    """The scalars of x from one draw of z an image, and mu (B, D)."""
    mu, logvar = posterior(state, x, y)
    nll = decoded_nll(state, x, reparameterize(mu, logvar, rng)[None], y)[0]
    return vae_loss(nll, kl_standard_normal(mu, logvar), beta, state.config.free_bits), mu


def log_weights(
    state: State[VAEConfig], x: Tensor, noise: Tensor, y: Tensor | None = None
) -> Tensor:
    """log p(x, z_k) - log q(z_k|x) in nats, (K, B), of x (B, C, H, W).

    The z_k are the K draws from q(z|x) that noise (K, B, D) of N(0, 1) makes.
    """
    mu, logvar = posterior(state, x, y)
    z = mu + torch.exp(0.5 * logvar) * noise
    prior = torch.zeros_like(mu)
    nll = decoded_nll(state, x, z, y)
    return log_normal(z, prior, prior) - log_normal(z, mu, logvar) - nll


def importance_loss(
    state: State[VAEConfig], x: Tensor, rng: torch.Generator, y: Tensor | None = None
) -> Scalars:
    """What replaces `loss` when importance_samples are more than one: minus their bound, `iwae`."""
    draws = state.config.importance_samples
    if draws == 1:
        return {}
    noise = torch.randn(draws, len(x), *state.z_shape, generator=rng, device=x.device)
    iwae = importance_bound(log_weights(state, x, noise, y)).mean()
    return {"loss": -iwae, "iwae": iwae}


def observe(
    state: State[VAEConfig], x: Tensor, rng: torch.Generator, y: Tensor | None = None
) -> Tensor:
    """x itself, or pixels drawn as 0 or 1 with the grey values as probabilities."""
    return torch.bernoulli(x, generator=rng) if state.config.binarize == "dynamic" else x


def train_step(state: State[VAEConfig], x: Tensor, y: Tensor | None = None) -> Scalars:
    """One update on x (B, C, H, W)."""
    x = observe(state, x, state.rng)
    beta = beta_at(state.config, state.epoch)
    scalars, _ = bound(state, x, beta, state.rng, y)
    scalars |= importance_loss(state, x, state.rng, y)
    update(state, scalars["loss"])
    return {name: value.detach() for name, value in scalars.items()}


def eval_step(
    state: State[VAEConfig], x: Tensor, rng: torch.Generator, y: Tensor | None = None
) -> Scalars:
    """The training scalars (at the final beta) and the image errors of the mean code's x_hat."""
    x = observe(state, x, rng)
    scalars, mu = bound(state, x, state.config.beta, rng, y)
    scalars |= importance_loss(state, x, rng, y)
    logits = split(lambda z, *y: decode_logits(state, z, *y), mu, *given(y))
    return scalars | image_errors(logits, x)


def encode(state: State[VAEConfig], x: Tensor, y: Tensor | None = None) -> Tensor:
    """x (B, C, H, W) -> mu (B, D), the mean of q(z|x)."""
    return posterior(state, x, y)[0]


def generate(state: State[VAEConfig], z: Tensor, y: Tensor | None = None) -> Tensor:
    """z (B, D) -> mean images (B, C, H, W) in [0, 1]."""
    return decode(state, z, y)


def rate(state: State[VAEConfig], x: Tensor, y: Tensor | None = None) -> Tensor:
    """x (B, C, H, W) -> KL(q(z|x) || p(z)) of each image, (B,), in nats."""
    return kl_standard_normal(*posterior(state, x, y)).sum(1)


STEPS = Steps(
    build,
    train_step,
    eval_step,
    encode,
    decode,
    generate,
    log_weights=log_weights,
    rate=rate,
    observe=observe,
)
