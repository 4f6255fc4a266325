"""The classes that a model learned: their names, and labels to draw pictures of."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from genbench import UserError

ROW = 8  # pictures of a class in a grid, in a row
MOST_ROWS = 16  # classes in a grid


class Classes:
    """How many training pictures each class has, by its name; empty of a model without classes."""

    def __init__(self, counts: Mapping[str, int]):
        self.counts = dict(counts)

    def __len__(self) -> int:
        return len(self.counts)

    def draw(self, n: int, seed: int) -> Tensor | None:
        """Labels (n,) as often as in the training split; the first ones are the same for any n.

        None where there are no classes.
        """
        if not self.counts:
            return None
        shares = np.cumsum([*self.counts.values()]) / sum(self.counts.values())
        drawn = np.searchsorted(shares, np.random.default_rng(seed).random(n), side="right")
        return torch.from_numpy(drawn)

    def labels(self, name: str, n: int) -> Tensor:
        """Labels (n,) of the class of that name.

        Raises:
            UserError: There is none.
        """
        if not self.counts:
            raise UserError(f"label={name!r}: the run learned no classes; --conditional=True does")
        if name not in self.counts:
            raise UserError(f"label={name!r}: no class; any of {', '.join(self.counts)}")
        return torch.full((n,), [*self.counts].index(name))

    def rows(self, columns: int = ROW) -> Tensor | None:
        """Labels of a grid with a row for each of the first classes; None where there are none."""
        if not self.counts:
            return None
        return torch.arange(min(MOST_ROWS, len(self.counts))).repeat_interleave(columns)
