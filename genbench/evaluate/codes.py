"""What autoencoders have: codes, and pictures decoded from them."""

import numpy as np
import torch
from torch import Tensor

from genbench.config import Config
from genbench.data import Batches, Split
from genbench.handlers import EVAL_BATCH, as_pictures, render, to_uint8
from genbench.metrics import latent
from genbench.models import Recipe, State, draw_z

PROBE_IMAGES = 10_000  # at most so many training codes teach the k-NN and the linear probe
LATENT_IMAGES = 2_000  # at most so many held-out codes are kept
SIDE = 15  # images along a side of the manifold
STEPS = 9  # images of an interpolation, ends included


Codes = tuple[np.ndarray, np.ndarray]  # z (N, D) `float32` and labels (N,)


def encode_all(recipe: Recipe, state: State, split: Split) -> Codes:
    """The (mean) codes of a split and its labels."""
    assert recipe.encode
    with torch.inference_mode():
        codes = [recipe.encode(state, x) for x, _ in Batches(split, EVAL_BATCH)]
    return torch.cat(codes).cpu().numpy(), split.labels.cpu().numpy()


def code_scores(recipe: Recipe, teachers: Codes, held_out: Codes, split: str) -> dict[str, float]:
    """k-NN and linear-probe accuracy of held-out codes as `split/name`; with a prior, active units.

    (Without one a code has no scale that a variance could be held against.)
    """
    scores = {
        f"{split}/knn_accuracy": latent.knn_accuracy(*teachers, *held_out),
        f"{split}/probe_accuracy": latent.probe_accuracy(*teachers, *held_out),
    }
    if recipe.generate:
        scores[f"{split}/active_units"] = float(latent.active_units(held_out[0]))
    return scores


def portfolio(
    recipe: Recipe, state: State, config: Config, z: np.ndarray, split: Split
) -> dict[str, np.ndarray]:
    """Pictures for the report, `uint8`, from held-out images and their codes z (N, D).

    originals, reconstructions: (16, H, W[, 3]), the split's first images.
    interpolations: (R, STEPS, H, W[, 3]), straight lines between the codes of consecutive images.
    manifold: (SIDE, SIDE, H, W[, 3]), decoded over the plane of the codes' first two principal
    axes (the two dimensions themselves if there are no more), rows from high to low second
    coordinate; manifold_extent gives its (left, right, bottom, top), 2nd to 98th percentiles.
    samples: (64, H, W[, 3]), where the family can be drawn from.
    """

    decoder = recipe.decode
    assert decoder

    @torch.inference_mode()
    def decode(codes: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(codes.astype(np.float32)).to(state.device)
        return to_uint8(torch.sigmoid(decoder(state, batch)))

    def draw(codes: np.ndarray) -> np.ndarray:
        """(A, B, D) codes -> (A, B, H, W[, 3]) pictures."""
        images = decode(codes.reshape(-1, codes.shape[-1]))
        return images.reshape(*codes.shape[:2], *images.shape[1:])

    x: Tensor = split.take(slice(16)).images.float() / 255
    ends = z[:12]
    t = np.linspace(0, 1, STEPS)[None, :, None]
    lines = (1 - t) * ends[0::2, None] + t * ends[1::2, None]
    plane, extent = _plane(z)
    pictures = {
        "originals": to_uint8(x),
        "reconstructions": decode(z[:16]),
        "interpolations": draw(lines),
        "manifold": draw(plane),
        "manifold_extent": np.array(extent),
    }
    if recipe.generate:
        pictures["samples"] = as_pictures(
            render(recipe, state, draw_z(state, config, 64, config.seed))
        )
    return pictures


def _plane(z: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Codes (SIDE, SIDE, D) over the plane that z (N, D) varies in most, and its edges.

    Of a one-dimensional code there is one row.
    """
    if z.shape[1] == 1:
        left, right = np.percentile(z, [2, 98])
        return np.linspace(left, right, SIDE)[None, :, None], (left, right, -0.5, 0.5)
    mean, axes = np.zeros(2), np.eye(2)
    if z.shape[1] > 2:
        mean, axes = latent.principal_axes(z)
    (left, bottom), (right, top) = np.percentile((z - mean) @ axes[:2].T, [2, 98], axis=0)
    first, second = np.meshgrid(np.linspace(left, right, SIDE), np.linspace(top, bottom, SIDE))
    codes = mean + first[..., None] * axes[0] + second[..., None] * axes[1]
    return codes, (left, right, bottom, top)
