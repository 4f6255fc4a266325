"""Generators z (B, D) -> x (B, C, S, S) in [-1, 1] and discriminators x -> logits (B,).

S is a power of two, at least 16; `width` scales the channels of both.

dcgan: strided (transposed) convolutions with batch normalisation (Radford et al. 2015,
arXiv:1511.06434).
palette: the generator of palette.py, whose pictures may leave [-1, 1] a little, against a plain
pyramid of strided convolutions. It has no normalisation: a logit depends on its own picture alone.
"""

import itertools
import math

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from genbench.families.gan.batchnorm import BatchNorm2d
from genbench.families.gan.palette import BOTTOM, SLOPE, PaletteGenerator, linear
from genbench.families.labels import Labelled, Projection


def make_generator(
    arch: str, latent_dim: int, channels: int, size: int, width: int, classes: int = 0
) -> nn.Module:
    """A network (B, latent_dim) -> (B, channels, size, size) in [-1, 1]; of classes also by y."""
    make = {"dcgan": _dcgan_generator, "palette": PaletteGenerator}[arch]
    if classes:
        net = make(2 * latent_dim, channels, size, width)
        return Labelled(net, classes, (latent_dim,), std=1.0)
    return make(latent_dim, channels, size, width)


def make_discriminator(
    arch: str, channels: int, size: int, width: int, spectral: bool = False, classes: int = 0
) -> nn.Module:
    """A network (B, channels, size, size) -> (B,), of classes also by y.

    `spectral`: Miyato et al. 2018, of all weights but what it has learned of the classes.
    """
    make = {"dcgan": _dcgan_discriminator, "palette": _pyramid}[arch]
    net = make(channels, size, width)
    if spectral:
        for module in list(net.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear):
                spectral_norm(module)
    return Projection(net, classes) if classes else net


def _dcgan_generator(latent_dim: int, channels: int, size: int, width: int) -> nn.Module:
    """width, ..., 8 * width channels at 64 px: from 4 x 4 up, each level doubling the side."""
    levels = int(math.log2(size // BOTTOM))
    counts = [width * 2**level for level in reversed(range(levels))]
    layers: list[nn.Module] = [
        nn.Unflatten(1, (latent_dim, 1, 1)),
        nn.ConvTranspose2d(latent_dim, counts[0], BOTTOM, bias=False),
    ]
    for before, after in itertools.pairwise([*counts, channels]):
        up = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
        layers += [BatchNorm2d(before), nn.ReLU(), up]
    return _dcgan_init(nn.Sequential(*layers, nn.Tanh()))


def _dcgan_discriminator(channels: int, size: int, width: int) -> nn.Sequential:
    """The generator's mirror image, with no normalisation behind the first convolution."""
    levels = int(math.log2(size // BOTTOM))
    counts = [width * 2**level for level in range(levels)]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([channels, *counts]):
        layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False))
        if before != channels:
            layers.append(BatchNorm2d(after))
        layers.append(nn.LeakyReLU(SLOPE))
    last = nn.Conv2d(counts[-1], 1, BOTTOM, bias=False)
    return _dcgan_init(nn.Sequential(*layers, last, nn.Flatten(0)))


def _dcgan_init(net: nn.Sequential) -> nn.Sequential:
    """Weights N(0, 0.02), batch normalisation's scale N(1, 0.02)."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return net


def _pyramid(channels: int, size: int, width: int) -> nn.Sequential:
    """2, 4, 8, 12 * width channels from half the side down to 4 x 4, by strided convolutions."""
    levels = int(math.log2(size // BOTTOM))
    counts = [min(2 ** (level + 1), 12) * width for level in range(levels)]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([channels, *counts]):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    layers += [nn.Conv2d(counts[-1], counts[-1], 3, padding=1), nn.LeakyReLU(SLOPE)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, SLOPE)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    last = linear(counts[-1] * BOTTOM**2, 1, 0.1)
    return nn.Sequential(*layers, nn.Flatten(), last, nn.Flatten(0))
