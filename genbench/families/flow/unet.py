"""A small U-Net for velocities (after Ronneberger et al. 2015 and Ho et al. 2020).

It works on 32 x 32 cells at most: larger pictures are cut into patches of pixels, which are
channels (as in Shi et al. 2016), so that a step costs the same at any size.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_SIDE, SMALLEST_SIDE = 32, 8  # of the finest and the coarsest level, in cells
GROUPS = 8  # of group normalisation
TIME_SCALE = 1_000.0  # t in [0, 1] as the steps of which Vaswani et al. 2017 embed numbers


class UNet(nn.Module):
    """x_t (B, C, S, S) and t (B,) in [0, 1] -> velocity (B, C, S, S); S a power of two, from 16.

    Labels y (B,) add learned numbers of the class to those of the time.
    """

    def __init__(self, channels: int, side: int, width: int, classes: int = 0):
        """`width` channels at the finest level; each coarser one has `width` more."""
        super().__init__()
        self.patch = max(1, side // LARGEST_SIDE)
        pixels, cells = channels * self.patch**2, side // self.patch
        levels = int(math.log2(cells // SMALLEST_SIDE)) + 1
        widths = [width * (level + 1) for level in range(levels)]
        self.time = nn.Sequential(
            nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width)
        )
        self.width = width
        self.enter = nn.Conv2d(pixels, width, 3, padding=1)
        pairs = list(itertools.pairwise(widths))
        self.fine = nn.ModuleList(Block(w, w, 4 * width) for w in widths[:-1])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs)
        deepest = widths[-1]
        self.middle = nn.ModuleList(
            [
                Block(deepest, deepest, 4 * width),
                Attention(deepest),
                Block(deepest, deepest, 4 * width),
            ]
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in reversed(pairs))
        self.join = nn.ModuleList(Block(2 * a, a, 4 * width) for a, _ in reversed(pairs))
        self.leave = nn.Sequential(
            nn.GroupNorm(GROUPS, width), nn.SiLU(), zero(nn.Conv2d(width, pixels, 3, padding=1))
        )
        if classes:
            self.classes = nn.Embedding(classes, 4 * width)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """The velocity of x at time t."""
        time = self.time(embed(t, self.width))
        if y is not None:
            time = time + self.classes(y)
        h = self.enter(F.pixel_unshuffle(x, self.patch))
        passed = []
        for block, down in zip(self.fine, self.down, strict=True):
            h = block(h, time)
            passed.append(h)
            h = down(h)
        for block in self.middle:
            h = block(h, time)
        for up, join in zip(self.up, self.join, strict=True):
            h = join(torch.cat([up(h), passed.pop()], 1), time)
        return F.pixel_shuffle(self.leave(h), self.patch)


class Block(nn.Module):
    """Two normalised convolutions around a residual; the time scales and shifts between them."""

    def __init__(self, before: int, after: int, time: int):
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(GROUPS, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1)
        )
        self.modulation = nn.Linear(time, 2 * after)
        self.norm = nn.GroupNorm(GROUPS, after)
        self.second = zero(nn.Conv2d(after, after, 3, padding=1))
        self.skip = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x (B, before, H, W), time (B, T) -> (B, after, H, W)."""
        scale, shift = self.modulation(time)[:, :, None, None].chunk(2, 1)
        h = self.norm(self.first(x)) * (1 + scale) + shift
        return self.skip(x) + self.second(F.silu(h))


class Attention(nn.Module):
    """Each cell looks at all others, with one head."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x (B, C, H, W) -> the same shape; the time is not used."""
        parts = self.query_key_value(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, 2)
        seen = F.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        return x + self.out(seen.transpose(1, 2).reshape(x.shape))


def embed(t: Tensor, width: int) -> Tensor:
    """Times (B,) in [0, 1] as sines and cosines (B, width) of frequencies from 1 to 1/10,000."""
    half = width // 2
    steps = torch.arange(half, device=t.device) / half
    angles = TIME_SCALE * t[:, None] * torch.exp(-math.log(10_000) * steps)
    return torch.cat([angles.sin(), angles.cos()], 1)


def zero(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with weights of 0: what it adds to begins as it is."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
