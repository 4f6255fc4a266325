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
    if torch.is_grad_enabled() or logits.device.type != "cpu":
        terms = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    else:  # the same; log1p alone takes a CPU twice as long as all of this
        terms = logits.abs().neg_().exp_().add_(1).log_().add_(logits.relu()).sub_(x * logits)
    return terms.flatten(1).sum(1)


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


def discretized_logistic_nll(mean: Tensor, x: Tensor, log_sigma: Tensor) -> Tensor:
    """-log p(x|z) of bytes: a logistic density's mass in each pixel's bin of width 1/255.

    As in Kingma et al. 2016 (arXiv:1606.04934, section 6.1); 0 and 255 have the tails too, so that
    the 256 masses sum to 1. With one standard deviation sigma for all pixels.

    Args:
        mean: (B, ...).
        x: The same shape, whole 255ths in [0, 1].
        log_sigma: Scalar, the logarithm of the standard deviation, scale * pi / sqrt(3).

    Returns:
        (B,), in nats; of a probability, so never negative.
    """
    inverse = math.pi / math.sqrt(3) * torch.exp(-log_sigma)
    above, below = (inverse * (x - mean + side / 510) for side in (1, -1))
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a))
    width = torch.log(-torch.expm1(-inverse / 255))
    within = F.logsigmoid(above) + F.logsigmoid(-below) + width
    mass = torch.where(x < 0.5 / 255, F.logsigmoid(above), within)
    mass = torch.where(x > 254.5 / 255, F.logsigmoid(-below), mass)
    return -mass.flatten(1).sum(1)


def kl_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)) of every latent dimension (Kingma & Welling 2014, app. B).

    Args:
        mu: (B, D).
        logvar: (B, D).

    Returns:
        (B, D), in nats.
    """
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def reparameterize(mu: Tensor, logvar: Tensor, rng: torch.Generator) -> Tensor:
    """One draw z = mu + sigma * eps, eps ~ N(0, 1), differentiable in mu and logvar; (B, D)."""
    noise = torch.randn(mu.shape, generator=rng, device=mu.device, dtype=mu.dtype)
    return mu + torch.exp(0.5 * logvar) * noise


def log_normal(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mu, exp(logvar)), summed over the last axis, in nats.

    Args:
        z: (..., D).
        mu, logvar: Broadcastable to z.
    """
    squares = (z - mu).square() * torch.exp(-logvar)
    return -0.5 * (squares + logvar + math.log(2 * math.pi)).sum(-1)


def importance_bound(log_w: Tensor) -> Tensor:
    """log 1/K sum_k w_k, a lower bound on log p(x) (Burda et al. 2016, arXiv:1509.00519, eq. 8).

    With one draw it is the ELBO; with many it comes near log p(x).

    Args:
        log_w: (K, B), log p(x, z_k) - log q(z_k|x) of K draws z_k from q(z|x), in nats.

    Returns:
        (B,).
    """
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))


def bias_left(fewest: float, few: float, many: float, ratio: int) -> float:
    """How far the bound by K draws still is below its limit, from those by fewer of them.

    The bias falls as K^-a: a = 1 where the weights' variance is finite (Nowozin 2018, "Debiasing
    evidence approximations", prop. 1), less where their tails are heavy. Three bounds tell a:
    each step by `ratio` gains r = ratio^-a of the step before, and what is left is the rest of that
    geometric series (Aitken 1926); with r = 1 / ratio it is the jackknife's (many - few) /
    (ratio - 1). NaN where the bound gains no less than in the step before.

    Args:
        fewest: The bound by K / ratio^2 draws, mean over all parts of the K.
        few: By K / ratio, likewise.
        many: By K.
        ratio: More than 1.
    """
    before, gain = few - fewest, many - few
    if gain <= 0:
        return 0.0
    if gain >= before:
        return math.nan
    share = max(gain / before, 1 / ratio)
    return gain * share / (1 - share)


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


def discriminator_loss(kind: str, d_real: Tensor, d_fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """What the discriminator minimises, from its logits (B,), a scalar.

    bce: cross-entropy, reals' target 1 - smoothing (Goodfellow et al. 2014; Salimans et al. 2016).
    lsgan: least squares to 1 and 0 (Mao et al. 2017, eq. 9). hinge: Lim & Ye 2017.
    wgan-gp: the critic's difference (Arjovsky et al. 2017; the penalty stands apart).
    r3: relativistic pairing (Huang et al. 2024, arXiv:2501.05441, eq. 2).
    drift: as bce, of a discriminator that nothing minimises: it is computed (`density_logits`).

    Raises:
        ValueError: The kind is unknown.
    """
    match kind:
        case "bce" | "drift":
            reals = F.softplus(-d_real) + smoothing * d_real  # = BCE against 1 - smoothing
            return (reals + F.softplus(d_fake)).mean()
        case "lsgan":
            return 0.5 * ((d_real - 1).square() + d_fake.square()).mean()
        case "hinge":
            return (F.relu(1 - d_real) + F.relu(1 + d_fake)).mean()
        case "wgan-gp":
            return (d_fake - d_real).mean()
        case "r3":
            return F.softplus(d_fake - d_real).mean()
    raise ValueError(f"unknown GAN loss {kind!r}")


def generator_loss(kind: str, d_fake: Tensor, d_real: Tensor) -> Tensor:
    """What the generator minimises, from the discriminator's logits (B,), a scalar.

    bce is the non-saturating form; r3 alone looks at `d_real`; of drift, which is minimised by
    `drifting_loss`, it is what is logged. See `discriminator_loss`.
    """
    match kind:
        case "bce" | "drift":
            return F.softplus(-d_fake).mean()
        case "lsgan":
            return 0.5 * (d_fake - 1).square().mean()
        case "hinge" | "wgan-gp":
            return -d_fake.mean()
        case "r3":
            return F.softplus(d_real - d_fake).mean()
    raise ValueError(f"unknown GAN loss {kind!r}")


def gan_scores(kind: str, d_real: Tensor, d_fake: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities (B,) in [0, 1] that the discriminator gives to reals and to fakes.

    bce, hinge and drift: sigmoid of the logit. lsgan: the logit itself, cut to [0, 1]: its targets
    are 0 and 1. wgan-gp and r3: only differences of logits mean anything, so a picture is held
    against the mean of the other side (Jolicoeur-Martineau 2019, arXiv:1807.00734, eq. 8).
    """
    if kind == "lsgan":
        return d_real.clamp(0, 1), d_fake.clamp(0, 1)
    if kind in ("wgan-gp", "r3"):
        return torch.sigmoid(d_real - d_fake.mean()), torch.sigmoid(d_fake - d_real.mean())
    return torch.sigmoid(d_real), torch.sigmoid(d_fake)


def input_gradients(logits: Tensor, x: Tensor) -> Tensor:
    """Norms (B,) of the gradient of each logit (B,) by its input x (B, ...), differentiable."""
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.flatten(1).norm(dim=1)


def js_bound(d_real: Tensor, d_fake: Tensor) -> Tensor:
    """Lower bound on the Jensen-Shannon divergence of reals and fakes, in nats, at most log 2.

    log 2 + (E log s(D(x)) + E log(1 - s(D(G(z))))) / 2, s the sigmoid (Nowozin et al. 2016,
    arXiv:1606.00709, eq. 4 with table 2's GAN row; Goodfellow et al. 2014, eq. 4-6). It holds for
    any logits of single pictures and is tight for log p/q; on held-out pictures it cannot be
    memorised. Losses that leave a constant free lose nothing: the better of the logits and of the
    logits about their middle counts.

    Args:
        d_real: (B,), logits of reals.
        d_fake: (B,), logits of fakes.
    """
    middle = (d_real.mean() + d_fake.mean()) / 2
    origins = torch.stack([middle, torch.zeros_like(middle)])[:, None]
    reals, fakes = F.softplus(origins - d_real).mean(1), F.softplus(d_fake - origins).mean(1)
    return math.log(2) - ((reals + fakes) / 2).min()
