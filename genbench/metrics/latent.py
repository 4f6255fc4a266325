"""The shape of a code, from codes z (N, D) as arrays."""

import numpy as np

ACTIVE_VARIANCE = 0.01  # Burda et al. 2016 (arXiv:1509.00519), section 5.2
COLLAPSED_RATE = 0.1  # nats an image; below it the code says nothing


def active_units(z: np.ndarray) -> int:
    """Latent dimensions whose mean code varies over the data: Var_x E[z|x] > 0.01.

    Args:
        z: (N, D), the mean codes of N images.
    """
    return int((z.var(axis=0) > ACTIVE_VARIANCE).sum())


def principal_axes(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and the principal axes (D, D), rows by falling variance, signs fixed."""
    mean = z.mean(axis=0)
    axes = np.linalg.svd(z - mean, full_matrices=True)[2]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    return mean, axes * signs[:, None]


def has_collapsed(rate: float, active: float = 1.0) -> bool:
    """Whether a code says nothing: its rate in nats an image is near 0, or no dimension is used."""
    return rate < COLLAPSED_RATE or active == 0
