"""Pictures of a model that is judged by its samples, and their nearest real neighbours."""

import numpy as np
import torch

from genbench.data import Split
from genbench.images import channels_last, to_bytes
from genbench.metrics.stability import squared_distances, thumbnails
from genbench.model import Model

SHOWN = 64  # held-out pictures
ALIKE = 8  # samples whose neighbours are shown
NEIGHBOURS = 3
CHUNK = 1_000  # pictures read at once
STEPS = 9  # pictures of an interpolation, ends included
LINES = 6


def gallery(model: Model) -> dict[str, np.ndarray]:
    """Pictures for the report, `uint8`.

    originals, samples: (N, S, S[, 3]), 64 held-out pictures, evenly spread over their sources,
        and samples of the epochs' z: 64, or a row of 8 for each class.
    neighbours: (8, 1 + 3, S, S[, 3]), a sample and the training pictures nearest to it.
    interpolations: (6, 9, S, S[, 3]), along great circles between two codes.
    """
    seed, splits = model.config.seed, model.data.splits
    y = model.classes.rows()
    samples = model.sample_bytes(64 if y is None else len(y), seed, y=y)
    held_out = splits["test" if "test" in splits else "val"]
    near = nearest(samples[:ALIKE], splits["train"])
    lines = to_bytes(model.interpolate_samples(LINES, seed, STEPS).flatten(0, 1))
    return {
        "originals": channels_last(held_out.take(held_out.spread(SHOWN)).images.cpu().numpy()),
        "samples": channels_last(samples),
        "neighbours": channels_last(np.concatenate([samples[:ALIKE, None], near], axis=1)),
        "interpolations": channels_last(lines.reshape(LINES, STEPS, *lines.shape[1:])),
    }


def nearest(images: np.ndarray, split: Split) -> np.ndarray:
    """The pictures (N, 3, C, S, S) of a split nearest to images (N, C, S, S), `uint8`.

    By the Euclidean distance of thumbnails of 16 x 16 pixels.
    """
    parts = [split.take(slice(i, i + CHUNK)) for i in range(0, len(split), CHUNK)]
    thumbs = np.concatenate([thumbnails(part.images.cpu().numpy()) for part in parts])
    order = squared_distances(thumbnails(images), thumbs).argsort(axis=1)[:, :NEIGHBOURS]
    neighbours = split.take(torch.from_numpy(order.ravel()).to(split.rows.device))
    return neighbours.images.cpu().numpy().reshape(*order.shape, *images.shape[1:])
