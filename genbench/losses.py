"""Losses as pure functions of tensors, in nats an image.

Terms sum over pixels or latent dimensions and stay one number an image, shape (B,); `ae_loss` and
`vae_loss` average them over the batch into named scalars that training, validation and the
report share.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Scalars = dict[str, Tensor]


def bernoulli_nll(logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x|z) of Bernoulli pixels with these logits.

    Grey values count as probabilities (binary cross-entropy); its least value is then x's own
    entropy, not 0.

    Args:
        logits: (B, ...), of the pixels' means.
        x: The same shape, in [0, 1].

    Returns:
        (B,), in nats.
    """
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def gaussian_nll(mean: Tensor, x: Tensor, log_sigma: Tensor) -> Tensor:
    """-log p(x|z) of pixels N(mean, sigma^2) with one sigma (sigma-VAE: Rybkin et al. 2021).

    Args:
        mean: (B, ...).
        x: The same shape.
        log_sigma: Scalar, the logarithm of the standard deviation.

    Returns:
        (B,), in nats; a density, so it may be negative.
    """
    squares = ((x - mean) * torch.exp(-log_sigma)).square()
    return (0.5 * (squares + math.log(2 * math.pi)) + log_sigma).flatten(1).sum(1)


def kl_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)) of every latent dimension (Kingma & Welling 2014, app. B).

    Args:
        mu: (B, D).
        logvar: (B, D).

    Returns:
        (B, D), in nats.
    """
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def reparameterize(mu: Tensor, logvar: Tensor, generator: torch.Generator) -> Tensor:
    """One draw z = mu + sigma * eps, eps ~ N(0, 1), differentiable in mu and logvar; (B, D)."""
    noise = torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
    return mu + torch.exp(0.5 * logvar) * noise


def ae_loss(reconstruction: Tensor) -> Scalars:
    """An autoencoder's scalars: `loss` and `reconstruction`, the mean of (B,) terms."""
    mean = reconstruction.mean()
    return {"loss": mean, "reconstruction": mean}


def vae_loss(
    reconstruction: Tensor, kl: Tensor, beta: float = 1.0, free_bits: float = 0.0
) -> Scalars:
    """A VAE's scalars, means over the batch, in nats an image.

    `loss` is what training minimises: reconstruction + beta * KL (Higgins et al. 2017), where a
    latent dimension's mean KL counts as at least `free_bits` (Kingma et al. 2016, eq. 15).
    `elbo` = -(reconstruction + KL) always has beta = 1 and no free bits; higher is better.

    Args:
        reconstruction: (B,), -log p(x|z).
        kl: (B, D), of the latent dimensions.
        beta: Weight of the KL in the loss.
        free_bits: Nats a dimension.
    """
    by_dimension = kl.mean(0)
    rec, kl_sum = reconstruction.mean(), by_dimension.sum()
    penalty = by_dimension.clamp(min=free_bits).sum() if free_bits else kl_sum
    return {
        "loss": rec + beta * penalty,
        "reconstruction": rec,
        "kl": kl_sum,
        "elbo": -(rec + kl_sum),
    }


def image_errors(logits: Tensor, x: Tensor) -> Scalars:
    """How far x_hat = sigmoid(logits) is from x, means over the batch.

    `bce`: binary cross-entropy, summed over pixels, nats. `mse`: squared error, mean over pixels.
    `psnr`: 10 log10(1 / mse) of each image, in dB, for pixels in [0, 1].
    """
    mse = (torch.sigmoid(logits) - x).square().flatten(1).mean(1)
    return {
        "bce": bernoulli_nll(logits, x).mean(),
        "mse": mse.mean(),
        "psnr": (-10 * torch.log10(mse.clamp(min=1e-10))).mean(),
    }
