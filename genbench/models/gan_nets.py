"""Generators z (B, D) -> x (B, C, S, S) in [-1, 1] and discriminators x -> logits (B,).

S is a power of two, at least 16; `width` scales the channels of both.

dcgan: strided (transposed) convolutions with batch normalisation (Radford et al. 2015,
arXiv:1511.06434).
palette: made for pictures with areas of colour, and for the little computing that a laptop has. The
generator chooses a few colours, and for every pixel how much of each: a softmax over masks, which
drawn coarsely and enlarged still meet in sharp edges. Every level from 4 x 4 up adds to the masks
(as to the picture in Karras et al. 2020, arXiv:1912.04958); residual blocks of depthwise-separable
convolutions (Chollet 2017, arXiv:1610.02357) end at half the side; at full size one small
convolution retouches masks and picture, with noise to make grain of (Karras et al. 2019,
arXiv:1812.04948, but placed by z, so that a picture is a function of its code alone). Going up is a
fixed low-pass filter, so that there is no checkerboard to unlearn, as one depthwise convolution, a
sixth of the time of `interpolate`. Nothing is normalised: the discriminator is a plain pyramid,
whose logit of a picture depends on that picture alone.
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, leaky_relu, pad
from torch.nn.utils.parametrizations import spectral_norm

BOTTOM = 4  # pixels along a side of the deepest level
SLOPE = 0.2
COLOURS = 8
SHEET = 256  # pixels along a side of the sheet of noise
MASK_STD = 1.0  # of a mask's logits at each level, at the start
RETOUCH_STD = 0.1  # of what is added at full size
COUNTS = (1.5, 3, 4, 6)  # the generator's channels from half the side down, in widths


def make_generator(arch: str, latent_dim: int, channels: int, size: int, width: int) -> nn.Module:
    """A network (B, latent_dim) -> (B, channels, size, size) in [-1, 1]."""
    make = {"dcgan": _dcgan_generator, "palette": PaletteGenerator}[arch]
    return make(latent_dim, channels, size, width)


def make_discriminator(
    arch: str, channels: int, size: int, width: int, spectral: bool = False
) -> nn.Module:
    """A network (B, channels, size, size) -> (B,); `spectral`: Miyato et al. 2018."""
    make = {"dcgan": _dcgan_discriminator, "palette": _pyramid}[arch]
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


def double(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), bilinear: one depthwise convolution with a fixed kernel."""
    row = x.new_tensor([0.25, 0.75, 0.75, 0.25])
    kernel = (row[:, None] * row).expand(x.shape[1], 1, 4, 4)
    edges = pad(x, (1, 1, 1, 1), mode="replicate")
    return conv_transpose2d(edges, kernel, stride=2, padding=3, groups=x.shape[1])


class Block(nn.Module):
    """Residual block (B, C, H, W) -> (B, C, H, W) that starts as the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.space = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.first = nn.Conv2d(channels, channels, 1)
        self.second = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Space, then channels, beside the skip."""
        h = self.first(self.space(leaky_relu(x, SLOPE)))
        return x + self.second(leaky_relu(h, SLOPE))


class Grain(nn.Module):
    """Adds noise with a learned strength a channel: a piece of one sheet, at a place given by z."""

    sheet: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.strength = nn.Parameter(torch.full((channels, 1, 1), 0.1))
        self.register_buffer("sheet", torch.randn(SHEET, SHEET))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """x (B, C, H, W), z (B, D) -> (B, C, H, W)."""
        place = (z[:, :2] * 1e3 % 1 * SHEET).long()  # the fine digits of z, as good as random
        rows, columns = (
            (place[:, i, None] + torch.arange(x.shape[2 + i], device=x.device)) % SHEET
            for i in (0, 1)
        )
        noise = self.sheet[rows[:, :, None], columns[:, None, :]]
        return x + self.strength * noise[:, None]


def _start(layer: nn.Module, std: float) -> None:
    """A convolution whose outputs start with this standard deviation, given inputs of 1."""
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    nn.init.normal_(layer.weight, std=std * layer.weight[0].numel() ** -0.5)
    nn.init.zeros_(layer.bias)


class PaletteGenerator(nn.Module):
    """A palette from z, and masks for it at every level from 4 x 4 to the full side."""

    def __init__(self, latent_dim: int, channels: int, size: int, width: int):
        super().__init__()
        levels = int(math.log2(size // BOTTOM))
        wide = [COUNTS[min(level, len(COUNTS) - 1)] for level in reversed(range(levels))]
        counts = [round(width * scale) for scale in wide]
        fine = max(1, counts[-1] // 2)
        colours = nn.Linear(counts[0], COLOURS * channels)
        nn.init.kaiming_normal_(colours.weight, a=1)
        self.palette = nn.Sequential(
            *(nn.Linear(latent_dim, counts[0]), nn.LeakyReLU(SLOPE)),
            *(nn.Linear(counts[0], counts[0]), nn.LeakyReLU(SLOPE)),
            *(colours, nn.Unflatten(1, (COLOURS, channels))),
        )
        self.start = nn.Linear(latent_dim, counts[0] * BOTTOM**2)
        self.blocks = nn.ModuleList(Block(count) for count in counts)
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in itertools.pairwise(counts))
        self.masks = nn.ModuleList(nn.Conv2d(count, COLOURS, 1) for count in counts)
        self.grain = nn.ModuleList([Grain(counts[-1]), Grain(fine)])
        self.mix = nn.Conv2d(counts[-1], fine, 1)
        self.retouch = nn.Conv2d(fine, COLOURS + channels, 3, padding=1)
        for mask in self.masks:
            _start(mask, MASK_STD)
        _start(self.retouch, RETOUCH_STD)

    def forward(self, z: Tensor) -> Tensor:
        """(B, D) -> (B, C, S, S), about in [-1, 1]."""
        z = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        h = self.blocks[0](self.start(z).unflatten(1, (-1, BOTTOM, BOTTOM)))
        masks = self.masks[0](h)
        for block, narrow, draw in zip(self.blocks[1:], self.narrow, self.masks[1:], strict=True):
            h = block(double(narrow(h)))
            masks = double(masks) + draw(h)
        h = double(self.mix(leaky_relu(self.grain[0](h, z), SLOPE)))
        touch = self.retouch(leaky_relu(self.grain[1](h, z), SLOPE))
        shares = torch.softmax(double(masks) + touch[:, :COLOURS], dim=1)
        painted = torch.einsum("bkhw,bkc->bchw", shares, self.palette(z))
        return painted + touch[:, COLOURS:]


def _pyramid(channels: int, size: int, width: int) -> nn.Module:
    """width, 2, 4, 6 * width channels from half the side down to 4 x 4, by strided convolutions."""
    levels = int(math.log2(size // BOTTOM))
    counts = [min(width * 2**level, 6 * width) for level in range(levels)]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([channels, *counts]):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    layers += [nn.Conv2d(counts[-1], counts[-1], 3, padding=1), nn.LeakyReLU(SLOPE)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, SLOPE)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    last = nn.Linear(counts[-1] * BOTTOM**2, 1)
    return nn.Sequential(*layers, nn.Flatten(), last, nn.Flatten(0))
