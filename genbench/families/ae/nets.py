"""Encoders and decoders for images of any size, fully connected or convolutional."""

import itertools
import math

from torch import nn

from genbench.families.state import Shape

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


def make_encoder(
    arch: str, shape: Shape, out: int, width: int, depth: int, activation: str
) -> nn.Sequential:
    """A network (B, C, H, W) -> (B, out)."""
    act = ACTIVATIONS[activation]
    if arch == "mlp":
        units = [math.prod(shape)] + [width] * depth
        return nn.Sequential(nn.Flatten(), *_dense(units, act), nn.Linear(width, out))
    channels, sizes = _stages(shape, width, depth)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(channels):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), act()]
    flat = channels[-1] * math.prod(sizes[-1])
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, out))


def make_decoder(
    arch: str, shape: Shape, latent_dim: int, width: int, depth: int, activation: str
) -> nn.Sequential:
    """A network (B, latent_dim) -> logits (B, C, H, W), the encoder's mirror image."""
    act = ACTIVATIONS[activation]
    if arch == "mlp":
        units = [latent_dim] + [width] * depth
        return nn.Sequential(
            *_dense(units, act), nn.Linear(width, math.prod(shape)), nn.Unflatten(1, shape)
        )
    channels, sizes = _stages(shape, width, depth)
    deepest = (channels[-1], *sizes[-1])
    layers: list[nn.Module] = [
        nn.Linear(latent_dim, math.prod(deepest)),
        nn.Unflatten(1, deepest),
    ]
    for level in range(depth, 0, -1):
        # A stride-2 transposed convolution makes 2n - 1 of n; the padding adds the odd row.
        (height, columns), (low, short) = sizes[level - 1], sizes[level]
        padding = (height - (2 * low - 1), columns - (2 * short - 1))
        up = nn.ConvTranspose2d(
            channels[level], channels[level - 1], 3, stride=2, padding=1, output_padding=padding
        )
        layers += [act(), up]
    return nn.Sequential(*layers)


def _dense(units: list[int], act: type[nn.Module]) -> list[nn.Module]:
    """Linear layers between these numbers of units, each with its activation."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(units):
        layers += [nn.Linear(before, after), act()]
    return layers


def _stages(shape: Shape, width: int, depth: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Channels and (height, width) of each level, from the image down to 1/2^depth of it.

    The deepest level has width/8 channels, each level above it half as many, at least 4.
    """
    channels, height, columns = shape
    counts, sizes = [channels], [(height, columns)]
    for level in range(1, depth + 1):
        height, columns = -(-height // 2), -(-columns // 2)
        counts.append(max(4, width // 8 // 2 ** (depth - level)))
        sizes.append((height, columns))
    return counts, sizes
