"""What GANs have: samples, their distances to real pictures, and their nearest real neighbours."""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genbench import UserError
from genbench.config import GANConfig
from genbench.data import Data, Split
from genbench.evaluate import load_run
from genbench.evaluate.reals import sides
from genbench.handlers import (
    FEWEST,
    as_pictures,
    distances,
    real_features,
    render,
    sample_features,
)
from genbench.metrics.stability import squared_distances, thumbnails
from genbench.models import Recipe, State, draw_z
from genbench.run import say

SCORED = 1_500  # pictures a side of the final scores and of their floors, where there are so many
SCORE_SEED = 1  # of the samples that are scored
ALIKE = 8  # samples whose neighbours are shown
NEIGHBOURS = 3
CHUNK = 1_000  # pictures read at once
STEPS = 9  # pictures of an interpolation, ends included
LINES = 6
ROW = 8  # pictures of an interpolation that is asked for


def sample_scores(recipe: Recipe, state: State, config: GANConfig, data: Data) -> dict[str, float]:
    """Distances of N samples to N training and N test pictures, as `split/fd_lite0_nN`.

    Beside each stands its floor, `split/floor_fd_lite0_nN`: the same distance between N real
    pictures and N others, of which no two share a source (`reals.sides`).
    """
    scores: dict[str, float] = {}
    drawn: dict[int, np.ndarray] = {}  # features of so many samples: often the same for both
    for split in ("train", "test"):
        mine, rivals = sides(data, split)
        n = min(SCORED, len(mine), len(rivals))
        if n < FEWEST:
            say(f"no {split} scores: {n} pictures, {FEWEST} needed; --crops cuts more")
            continue
        reals = real_features(data, split, mine[:n])
        floor = distances(real_features(data, "train", rivals[:n]), reals)
        if n not in drawn:
            drawn[n] = sample_features(recipe, state, config, n, SCORE_SEED)
        found = distances(drawn[n], reals)
        found |= {f"floor_{name}": value for name, value in floor.items()}
        scores |= {f"{split}/{name}": value for name, value in found.items()}
    return scores


def draw(
    run_dir: Path, n: int, seed: int, truncation: float = 0.0, interpolate: bool = False
) -> np.ndarray:
    """Pictures (n, C, S, S) `uint8` from a finished run's model.

    Args:
        run_dir: The run's folder.
        n: Number of pictures; of an interpolation, rounded up to whole rows.
        seed: Of the codes.
        truncation: See `truncated`; 0: codes of N(0, 1).
        interpolate: Rows of 8 pictures along great circles.

    Raises:
        UserError: The run cannot be drawn from, or n or truncation cannot be.
    """
    if n < 1 or truncation < 0:
        raise UserError(f"n={n} and truncation={truncation}: at least 1 and 0")
    recipe, config, state = load_run(run_dir)
    if not recipe.generate:
        raise UserError(f"{run_dir}: model {config.model} has no prior to draw from; train another")
    rows = -(-n // ROW)
    z = draw_z(state, config, 2 * rows if interpolate else n, seed)
    if truncation:
        z = truncated(z, truncation)
    if interpolate:
        z = torch.cat([great_circle(a, b, ROW) for a, b in z.unflatten(0, (rows, 2))])
    return render(recipe, state, z)


def truncated(z: Tensor, limit: float) -> Tensor:
    """Codes of N(0, 1) as codes of N(0, 1) cut off at +-limit, the order of values kept.

    The truncation trick (Brock et al. 2019, arXiv:1809.11096), without drawing again: through the
    distribution function of one normal and back through that of the other.
    """
    root = math.sqrt(2)
    return root * torch.erfinv(torch.erf(z / root) * math.erf(limit / root))


def gallery(recipe: Recipe, state: State, config: GANConfig, data: Data) -> dict[str, np.ndarray]:
    """Pictures for the report, `uint8`.

    originals, samples: (up to 64, S, S[, 3]), held-out pictures and samples of the epochs' z.
    neighbours: (8, 1 + 3, S, S[, 3]), a sample and the training pictures nearest to it.
    interpolations: (6, 9, S, S[, 3]), along great circles between two codes.
    """
    samples = render(recipe, state, draw_z(state, config, 64, config.seed))
    held_out = data.splits["test" if "test" in data.splits else "val"]
    near = nearest(samples[:ALIKE], data.splits["train"])
    rows = np.concatenate([samples[:ALIKE, None], near], axis=1)
    ends = draw_z(state, config, 2 * LINES, config.seed).unflatten(0, (LINES, 2))
    lines = render(recipe, state, torch.cat([great_circle(a, b, STEPS) for a, b in ends]))
    return {
        "originals": as_pictures(held_out.take(slice(64)).images.cpu().numpy()),
        "samples": as_pictures(samples),
        "neighbours": as_pictures(rows),
        "interpolations": as_pictures(lines.reshape(LINES, STEPS, *lines.shape[1:])),
    }


def nearest(images: np.ndarray, split: Split) -> np.ndarray:
    """The pictures (N, 3, C, S, S) of a split nearest to images (N, C, S, S), `uint8`.

    By the Euclidean distance of thumbnails of 16 x 16 pixels.
    """
    parts = [split.take(slice(i, i + CHUNK)) for i in range(0, len(split), CHUNK)]
    thumbs = np.concatenate([thumbnails(part.images.cpu().numpy()) for part in parts])
    order = squared_distances(thumbnails(images), thumbs).argsort(axis=1)[:, :NEIGHBOURS]
    found = split.take(torch.from_numpy(order.ravel()).to(split.rows.device))
    return found.images.cpu().numpy().reshape(*order.shape, *images.shape[1:])


def great_circle(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """`steps` codes from a to b, both (D,), ends included, that stay as far out as the prior's.

    Spherical interpolation (White 2016, arXiv:1609.04468); a straight line passes through codes
    shorter than any that the generator has seen.
    """
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=0).clamp(-1 + 1e-6, 1 - 1e-6)
    angle = torch.arccos(cosine)
    t = torch.linspace(0, 1, steps, device=a.device)[:, None]
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
