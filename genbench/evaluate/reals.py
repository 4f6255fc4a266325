"""Which real pictures samples are held against, and which against each other: the floor."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genbench.data import Data, Split

SEED = 1  # of the pictures that are taken


def sides(data: Data, split: str) -> tuple[Split, Split]:
    """A split's pictures in a fixed random order, and those they are held against for the floor.

    No two of both share a source. For `train` they are two halves of the training pictures, for
    another split all of it, and the training pictures; where these are fewer, those for validation
    come to them.
    """
    train, own = data.splits["train"], data.splits[split]
    if split == "train":
        return halves(train)
    if len(train) < len(own) and split != "val":
        train = join([train, data.splits["val"]])
    return shuffled(own), shuffled(train)


def join(parts: Sequence[Split]) -> Split:
    """Splits of one pool as one; those of digits have a pool each, and the first one is taken."""
    alike = [part for part in parts if part.pool is parts[0].pool]
    names = ("rows", "labels", "sources")
    return Split(parts[0].pool, *(torch.cat([getattr(p, name) for p in alike]) for name in names))


def shuffled(split: Split) -> Split:
    """A split in one fixed order."""
    return split.take(_order(len(split)).to(split.rows.device))


def _order(n: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(SEED))


def halves(split: Split) -> tuple[Split, Split]:
    """The pictures of one half of the sources, and of the other, shuffled."""
    sources = split.sources.cpu()
    unique = sources.unique()
    index = _order(len(split))
    first = torch.isin(sources[index], unique[_order(len(unique))[: len(unique) // 2]])
    one, other = (split.take(part.to(split.rows.device)) for part in (index[first], index[~first]))
    return one, other
