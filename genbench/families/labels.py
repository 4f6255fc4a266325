"""Networks that are told the class of a picture (as in Mirza & Osindero 2014, arXiv:1411.1784)."""

import math

import torch
from torch import Tensor, nn


class Labelled(nn.Module):
    """A network whose input has learned numbers of the class beside it, along dimension 1.

    x (B, n, ...) and labels y (B,) -> network(x with `shape` beside it): one more channel of a
    picture, or some more numbers of a code. They start with the standard deviation `std`.
    """

    def __init__(self, network: nn.Module, classes: int, shape: tuple[int, ...], std: float):
        super().__init__()
        self.network, self.shape = network, shape
        self.classes = nn.Embedding(classes, math.prod(shape))
        nn.init.normal_(self.classes.weight, std=std)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """What the network says of both."""
        return self.network(torch.cat([x, self.classes(y).unflatten(1, self.shape)], 1))


class Projection(nn.Module):
    """A discriminator's logits of pictures and their classes, whose weights differ by the class.

    D(x, y) = l(h) + v_y . h, where h is what the last layer l sees (Miyato & Koyama 2018,
    arXiv:1802.05637, eq. 4, without the sum over places). It begins as it would be without labels.
    """

    def __init__(self, network: nn.Sequential, classes: int):
        """Of a network whose last two layers are l and one that flattens its output to (B,)."""
        super().__init__()
        self.body, self.last = network[:-2], network[-2:]
        weight = self.last[0].weight
        assert isinstance(weight, Tensor)
        self.classes = nn.Embedding(classes, weight[0].numel())
        nn.init.zeros_(self.classes.weight)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (B, C, S, S) and labels y (B,) -> (B,)."""
        h = self.body(x)
        return self.last(h) + (self.classes(y) * h.flatten(1)).sum(1)


def given(y: Tensor | None) -> tuple[Tensor, ...]:
    """The labels as what comes last among arguments: nothing where there are none."""
    return () if y is None else (y,)
