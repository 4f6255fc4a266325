"""What families with codes have: what a code knows, and pictures decoded from codes."""

import numpy as np
import torch

from genbench.data import Split
from genbench.images import channels_last, shrink, to_uint8
from genbench.metrics import latent, probes
from genbench.metrics.ms_ssim import ms_ssim
from genbench.model import Model

PROBE_IMAGES = 10_000  # at most so many training codes teach the k-NN and the linear probe
LATENT_IMAGES = 2_000  # at most so many held-out codes are kept
CHUNK = 100  # images reconstructed at once
THUMBNAIL = 32  # pixels at most along a side of the pictures that are kept with them
SIDE = 15  # images along a side of the manifold
SHOWN, LINES = 16, 6  # images beside their reconstructions, interpolations between them
STEPS = 9  # images of an interpolation, ends included

Codes = tuple[np.ndarray, np.ndarray]  # z (N, D) `float32` and labels (N,)


def code_scores(model: Model, training: Codes, held_out: Codes, split: str) -> dict[str, float]:
    """k-NN and linear-probe accuracy of held-out codes as `split/name`; with a prior, active units.

    (Without one a code has no scale that a variance could be held against.)
    """
    scores = {
        f"{split}/knn_accuracy": probes.knn_accuracy(*training, *held_out),
        f"{split}/probe_accuracy": probes.probe_accuracy(*training, *held_out),
    }
    if "generate" in model.family.can:
        scores[f"{split}/active_units"] = float(latent.active_units(held_out[0]))
    return scores


def reconstruction_scores(model: Model, part: Split, split: str) -> dict[str, float]:
    """Mean MS-SSIM of images and what is decoded from their codes' means, as `split/ms_ssim`.

    Of at most 2,000 images, evenly spread; where pixels are binarised, of the grey images. And
    `split/floor_bce`, which is of all of them (`least_bce`).
    """
    floor = least_bce(part)
    part = part.take(part.spread(LATENT_IMAGES))
    values = []
    for first in range(0, len(part), CHUNK):
        some = part.take(slice(first, first + CHUNK))
        x = some.images.cpu().float() / 255
        values.append(ms_ssim(model.reconstruct(some.images, some.labels), x))
    return {f"{split}/ms_ssim": float(torch.cat(values).mean()), f"{split}/floor_bce": floor}


def least_bce(part: Split) -> float:
    """The entropy of images whose grey pixels are probabilities, their mean, in nats an image.

    No reconstruction has a smaller binary cross-entropy.
    """
    counts = torch.zeros(256, dtype=torch.float64)
    for first in range(0, len(part), LATENT_IMAGES):
        pixels = part.take(slice(first, first + LATENT_IMAGES)).images.flatten().cpu()
        counts += torch.bincount(pixels, minlength=256)
    p = torch.arange(256, dtype=torch.float64) / 255
    return float(counts @ (torch.special.entr(p) + torch.special.entr(1 - p))) / len(part)


def portfolio(model: Model, codes: Codes, held_out: Split) -> dict[str, np.ndarray]:
    """Pictures for the report, `uint8`, from held-out images and their codes.

    originals, reconstructions: (16, H, W[, 3]), evenly spread.
    interpolations: (R, STEPS, H, W[, 3]), straight lines between the codes of consecutive images.
    manifold: (SIDE, SIDE, H, W[, 3]), decoded over the plane of the codes' first two principal
    axes (the two dimensions themselves if there are no more), rows from high to low second
    coordinate; manifold_extent gives its (left, right, bottom, top), 2nd to 98th percentiles.
    samples: (N, H, W[, 3]), where the family has a prior; 64, or a row of 8 for each class.

    Of a model of classes a line keeps that of its first image, and the manifold is of the first.
    """
    shown = held_out.spread(SHOWN)
    z, y = (torch.from_numpy(array)[shown.cpu()] for array in codes)
    ends = z[: 2 * LINES]
    starts = ends[0::2][: len(ends) // 2]
    plane, extent = _plane(codes[0])
    points = plane.reshape(-1, plane.shape[-1])
    first = torch.zeros(len(points), dtype=torch.int64)
    manifold = model.decode(points, first).unflatten(0, plane.shape[:2])
    rows = model.classes.rows()
    pictures = {
        "originals": channels_last(held_out.take(shown).images.cpu().numpy()),
        "reconstructions": to_uint8(model.decode(z, y)),
        "manifold": _as_rows(manifold),
        "manifold_extent": np.array(extent),
    }
    if len(starts):  # of one held-out image there is no line
        lines = model.interpolate(starts, ends[1::2], STEPS, y[0::2][: len(starts)])
        pictures["interpolations"] = _as_rows(lines)
    if "generate" in model.family.can:
        n = 64 if rows is None else len(rows)
        pictures["samples"] = to_uint8(model.sample(n, model.config.seed, y=rows))
    return pictures


def thumbnails(held_out: Split) -> np.ndarray:
    """Small pictures (N, T, T[, 3]) `uint8` of the images whose codes are kept."""
    return channels_last(shrink(held_out.images.cpu().numpy(), THUMBNAIL))


def _as_rows(images: torch.Tensor) -> np.ndarray:
    """(A, B, C, H, W) in [0, 1] -> (A, B, H, W[, 3]) `uint8`."""
    flat = to_uint8(images.flatten(0, 1))
    return flat.reshape(*images.shape[:2], *flat.shape[1:])


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
