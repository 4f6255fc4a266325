"""Which pictures are for training, validation and the test: a folder's own split, or ours."""

from pathlib import PurePath

import numpy as np

from genbench import UserError
from genbench.config import LEAST

MIN_PICTURES = 10
MIN_SOURCES = 3  # different pictures: one for each split
HELD_OUT = 0.1  # of the sources, to val and to test each
SPLIT_SEED = 0  # one cut for all runs
NAMES = {  # of folders that are a split
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def own_splits(names: list[str]) -> list[str]:
    """The split that each file is in by the first folder in which they differ.

    Args:
        names: Of all picture files, below the folder that is given: `train/cubism/1.png`.

    Returns:
        "train", "val" or "test" for each; empty unless all are in one, and "train" is not the only.
    """
    parts = _below_the_common(names)
    found = [NAMES.get(some[0].lower(), "") if some[1:] else "" for some in parts]
    own = all(found) and "train" in found and len(set(found)) > 1
    return found if own else []


def own_classes(names: list[str]) -> list[str]:
    """The class of each file: the first folder in which they differ, below that of its split.

    Args:
        names: As of `own_splits`.

    Returns:
        A name for each; empty unless all files are in some, and those are more than one.
    """
    parts = _below_the_common(names)
    if own_splits(names):
        parts = [some[1:] for some in parts]
    found = [some[0] if some[1:] else "" for some in parts]
    return found if all(found) and len(set(found)) > 1 else []


def _below_the_common(names: list[str]) -> list[tuple[str, ...]]:
    """The parts of paths, without the folders that all share, as an archive's often do."""
    parts = [PurePath(name).parts for name in names]
    while len({some[0] for some in parts}) == 1 and all(some[2:] for some in parts):
        parts = [some[1:] for some in parts]
    return parts


def split_sources(
    sources: np.ndarray, seed: int, held_out: int = 0, own: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Deal the sources out: a tenth to "val", a tenth to "test", the rest to "train".

    Args:
        sources: (N,) the source of each image.
        seed: Of the permutation of the sources.
        held_out: Sources for "test" in place of the tenth, if not 0. Of those that are left a tenth
            is for "val", but 50, the least for a distance, where they are at most a quarter.
        own: (N,) the split that each image is in already; (0,) or None: they are in none. What it
            lacks, "val" or "test", is dealt from its training pictures as above.

    Returns:
        By split the ascending indices of its images; no source is in two splits that are dealt.

    Raises:
        UserError: Fewer sources than splits.
    """
    if own is not None and len(own):
        return _completed(sources, seed, held_out, own)
    unique = np.unique(sources)
    if len(unique) < MIN_SOURCES:
        raise UserError(f"{len(unique)} different pictures are too few for three splits; add some")
    order = np.random.default_rng(seed).permutation(unique)
    tenth = max(1, round(HELD_OUT * len(unique)))
    n_test, n_val = held_out or tenth, tenth
    if held_out:
        left = len(unique) - held_out
        if left < MIN_PICTURES:
            most = max(0, len(unique) - MIN_PICTURES)
            raise UserError(
                f"held_out={held_out}: of {len(unique)} different pictures, {most} at most"
            )
        n_val = _for_val(left)
    parts = {
        "train": order[n_test + n_val :],
        "val": order[:n_val],
        "test": order[n_val : n_test + n_val],
    }
    return {name: np.flatnonzero(np.isin(sources, part)) for name, part in parts.items()}


def _for_val(left: int) -> int:
    """How many of the sources that are not for the test are for validation."""
    return max(1, round(HELD_OUT * left), min(LEAST, left // 4))


def _completed(
    sources: np.ndarray, seed: int, held_out: int, own: np.ndarray
) -> dict[str, np.ndarray]:
    """A folder's own split, and what it lacks dealt from its training pictures."""
    if held_out and "test" in own:
        raise UserError(
            f"held_out={held_out}: the pictures have a test split of their own; leave it out"
        )
    parts = {name: np.flatnonzero(own == name) for name in ("train", "val", "test")}
    unique = np.unique(sources[parts["train"]])
    lacking = [name for name in ("val", "test") if not len(parts[name])]
    if len(unique) < len(lacking) + 1:
        raise UserError(f"{len(unique)} different training pictures are too few; add some")
    order, first = np.random.default_rng(seed).permutation(unique), 0
    for name in lacking:
        n = held_out if name == "test" and held_out else _for_val(len(unique))
        if first + n >= len(unique):
            most = len(unique) - len(lacking)
            raise UserError(
                f"held_out={held_out}: of {len(unique)} different training pictures, {most} at most"
            )
        dealt = np.isin(sources, order[first : first + n]) & (own == "train")
        parts[name], first = np.flatnonzero(dealt), first + n
    rest = np.isin(sources, order[first:]) & (own == "train")
    return parts | {"train": np.flatnonzero(rest)}
