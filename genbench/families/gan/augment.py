"""DiffAugment (Zhao et al. 2020, arXiv:2006.10738): differentiable augmentations of x (B, C, H, W).

What the discriminator sees, real or generated, is augmented by one policy; the gradient flows
through to the generator. Pixels are in [-1, 1]. Every image draws its own numbers.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

TRANSLATION = 1 / 8  # of the side
CUTOUT = 1 / 2


def augment(x: Tensor, policy: str, p: float, rng: torch.Generator) -> Tensor:
    """x with each transformation of `policy` applied to each image with probability p.

    Args:
        x: (B, C, H, W).
        policy: Names in `POLICIES`, separated by commas; empty: x itself.
        p: Probability, in [0, 1].
        rng: Source of the random numbers, on x's device.
    """
    for name in filter(None, policy.split(",")):
        for transform in POLICIES[name]:
            changed = transform(x, rng)
            if p < 1:
                chosen = _uniform(x, rng) < p
                changed = torch.where(chosen, changed, x)
            x = changed
    return x


def _uniform(x: Tensor, rng: torch.Generator) -> Tensor:
    """(B, 1, 1, 1), uniform in [0, 1)."""
    return torch.rand(len(x), 1, 1, 1, generator=rng, device=x.device)


def _integers(x: Tensor, low: int, high: int, rng: torch.Generator) -> Tensor:
    """(B, 1, 1), from low to high, both included."""
    size = (len(x), 1, 1)
    return torch.randint(low, high + 1, size, generator=rng, device=x.device)


def brightness(x: Tensor, rng: torch.Generator) -> Tensor:
    """Add a number of [-0.5, 0.5) to all pixels."""
    return x + (_uniform(x, rng) - 0.5)


def saturation(x: Tensor, rng: torch.Generator) -> Tensor:
    """Scale the distance from each pixel's grey by a factor of [0, 2)."""
    grey = x.mean(1, keepdim=True)
    return grey + (x - grey) * 2 * _uniform(x, rng)


def contrast(x: Tensor, rng: torch.Generator) -> Tensor:
    """Scale the distance from the image's mean by a factor of [0.5, 1.5)."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (0.5 + _uniform(x, rng))


def translation(x: Tensor, rng: torch.Generator) -> Tensor:
    """Shift by up to an eighth of each side, with zeros moving in."""
    height, width = x.shape[2:]
    up, left = round(height * TRANSLATION), round(width * TRANSLATION)
    rows = torch.arange(height, device=x.device)[None, :, None] + up
    columns = torch.arange(width, device=x.device)[None, None, :] + left
    rows = rows + _integers(x, -up, up, rng)
    columns = columns + _integers(x, -left, left, rng)
    image = torch.arange(len(x), device=x.device)[:, None, None]
    padded = pad(x, (left, left, up, up)).permute(0, 2, 3, 1)
    return padded[image, rows, columns].permute(0, 3, 1, 2)


def cutout(x: Tensor, rng: torch.Generator) -> Tensor:
    """Zero a rectangle of half each side, its centre anywhere in the image."""
    height, width = x.shape[2:]
    inside = torch.ones((), dtype=torch.bool, device=x.device)
    for size, axis in ((height, (1, -1, 1)), (width, (1, 1, -1))):
        first = _integers(x, 0, size - 1, rng) - round(size * CUTOUT) // 2
        place = torch.arange(size, device=x.device).view(axis)
        inside = inside & (place >= first) & (place < first + round(size * CUTOUT))
    return x * ~inside[:, None]


POLICIES = {
    "color": (brightness, saturation, contrast),
    "translation": (translation,),
    "cutout": (cutout,),
}
