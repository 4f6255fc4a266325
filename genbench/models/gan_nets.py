"""Generators z (B, D) -> x (B, C, S, S) in [-1, 1] and discriminators x -> logits (B,).

S is a power of two, at least 16; `width` scales the channels of both.

dcgan: Radford et al. 2015 (arXiv:1511.06434): strided convolutions with batch normalisation.
resnet: residual blocks without normalisation, convolving at half the image's resolution and below.
The generator's last convolution gives four sub-pixels a position (Shi et al. 2016,
arXiv:1609.05158) and the discriminator folds 2 x 2 pixels into channels, so that no convolution
runs at full resolution, where most of a small GAN's time goes. Its shallow blocks gate the deep ones
(skip-layer excitation, Liu et al. 2021, arXiv:2101.04775), and the discriminator sees how much a
batch varies (Karras et al. 2018, arXiv:1710.10196, section 3).
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.nn.utils.parametrizations import spectral_norm

BOTTOM = 4  # pixels along a side of the deepest level
SLOPE = 0.2
GROUP = 8  # images whose spread a discriminator's last block sees


def make_generator(arch: str, latent_dim: int, channels: int, size: int, width: int) -> nn.Module:
    """A network (B, latent_dim) -> (B, channels, size, size) in [-1, 1]."""
    make = {"dcgan": _dcgan_generator, "resnet": ResnetGenerator}[arch]
    return make(latent_dim, channels, size, width)


def make_discriminator(
    arch: str, channels: int, size: int, width: int, spectral: bool = False
) -> nn.Module:
    """A network (B, channels, size, size) -> (B,); `spectral`: Miyato et al. 2018."""
    make = {"dcgan": _dcgan_discriminator, "resnet": ResnetDiscriminator}[arch]
    net = make(channels, size, width)
    if spectral:
        for module in list(net.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear):
                spectral_norm(module)
    return net


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
        layers += [nn.BatchNorm2d(before), nn.ReLU(), up]
    return _dcgan_init(nn.Sequential(*layers, nn.Tanh()))


def _dcgan_discriminator(channels: int, size: int, width: int) -> nn.Module:
    """The generator's mirror image, with no normalisation behind the first convolution."""
    levels = int(math.log2(size // BOTTOM))
    counts = [width * 2**level for level in range(levels)]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([channels, *counts]):
        layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False))
        if before != channels:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.LeakyReLU(SLOPE))
    last = nn.Conv2d(counts[-1], 1, BOTTOM, bias=False)
    return _dcgan_init(nn.Sequential(*layers, last, nn.Flatten(0)))


def _dcgan_init(net: nn.Module) -> nn.Module:
    """Weights N(0, 0.02), batch normalisation's scale N(1, 0.02)."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return net


def _counts(size: int, width: int) -> list[int]:
    """Channels from half the image's side down to 4 x 4, doubling."""
    return [width * 2**level for level in range(int(math.log2(size // BOTTOM)))]


class Block(nn.Module):
    """Residual block (B, C, H, W) -> (B, C, H, W) that starts as the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Two convolutions beside the skip."""
        return x + self.second(leaky_relu(self.first(leaky_relu(x, SLOPE)), SLOPE))


class ResnetGenerator(nn.Module):
    """From 4 x 4 up to the image, a block a level, up by sub-pixels."""

    def __init__(self, latent_dim: int, channels: int, size: int, width: int, blocks: int = 1):
        super().__init__()
        counts = _counts(size, width)[::-1]
        self.start = nn.Linear(latent_dim, counts[0] * BOTTOM**2)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([*counts, channels]):
            layers += [Block(before) for _ in range(blocks)]
            layers += [nn.LeakyReLU(SLOPE), nn.ConvTranspose2d(before, after, 4, 2, 1)]
        self.body = nn.Sequential(*layers, nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """(B, D) -> (B, C, S, S)."""
        return self.body(self.start(z).unflatten(1, (-1, BOTTOM, BOTTOM)))


class ResnetDiscriminator(nn.Module):
    """The generator's mirror image: down by strided convolutions, a block a level."""

    def __init__(self, channels: int, size: int, width: int, blocks: int = 1):
        super().__init__()
        counts = _counts(size, width)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([channels, *counts]):
            layers += [nn.Conv2d(before, after, 4, 2, 1)]
            layers += [Block(after) for _ in range(blocks)]
            layers += [nn.LeakyReLU(SLOPE)]
        self.body = nn.Sequential(*layers)
        self.final = nn.Conv2d(counts[-1] + 1, counts[-1], 3, padding=1)
        self.last = nn.Linear(counts[-1] * BOTTOM**2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S, S) -> (B,)."""
        h = self.final(batch_spread(self.body(x)))
        return self.last(leaky_relu(h, SLOPE).flatten(1)).squeeze(1)


def batch_spread(h: Tensor) -> Tensor:
    """h (B, C, H, W) with one more channel: the mean standard deviation within groups of images.

    A batch that is no multiple of `GROUP` is one group.
    """
    groups = len(h) // GROUP if len(h) % GROUP == 0 else 1
    spread = (h.unflatten(0, (-1, groups)).var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
    channel = spread.repeat(len(h) // groups)[:, None, None, None].expand(-1, 1, *h.shape[2:])
    return torch.cat([h, channel], dim=1)
