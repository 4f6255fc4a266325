"""Which real pictures samples are held against, and which against each other: the floor."""

import torch
from torch import Tensor

from genbench.data import Data, Split

SEED = 1  # of the pictures that are taken


def sides(data: Data, split: str) -> tuple[Tensor, Tensor]:
    """Indices of a split's pictures in a fixed random order, and of the training pictures that
    they are held against for the floor, of which none shares a source with them.

    For `train` these are two halves of the training pictures, for another split all of it and all
    training pictures.
    """
    if split == "train":
        return halves(data.splits["train"], data.sourced)
    return shuffled(data.splits[split]), shuffled(data.splits["train"])


def shuffled(split: Split) -> Tensor:
    """All indices of a split, in one fixed order."""
    return torch.randperm(len(split), generator=torch.Generator().manual_seed(SEED))


def halves(split: Split, sourced: bool) -> tuple[Tensor, Tensor]:
    """The indices of the pictures of one half of the sources, and of the other, shuffled."""
    sources = (split.labels if sourced else split.rows).cpu()
    unique = sources.unique()
    order = torch.randperm(len(unique), generator=torch.Generator().manual_seed(SEED))
    index = shuffled(split)
    first = torch.isin(sources[index], unique[order[: len(unique) // 2]])
    return index[first], index[~first]
