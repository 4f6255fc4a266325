"""How alike pictures and their reconstructions look, at several scales."""

import torch
import torch.nn.functional as F
from torch import Tensor

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of scales, fine to coarse; sum 1
WINDOW, SIGMA = 11, 1.5  # pixels
C1, C2 = 0.01**2, 0.03**2  # of pixels in [0, 1]


def ms_ssim(x_hat: Tensor, x: Tensor) -> Tensor:
    """Multi-scale structural similarity of each pair, (B,), at most 1 (Wang et al. 2003, eq. 7).

    Of Wang's five scales those count at which the Gaussian window of 11 pixels fits (of 28 px two,
    of 64 px three, of 176 px all), with their weights made to sum 1: values of unlike sizes do not
    compare. Channels are averaged; below 11 px the window is as large as the picture.

    Args:
        x_hat: (B, C, H, W) in [0, 1].
        x: The same shape.
    """
    side = min(x.shape[-2:])
    scales = max(1, sum(side >> scale >= WINDOW for scale in range(len(WEIGHTS))))
    weights = torch.tensor(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    value = x.new_ones(x.shape[:2])
    for scale, weight in enumerate(weights.tolist()):
        luminance, structure = _parts(x_hat, x)
        last = scale == scales - 1
        terms = luminance * structure if last else structure
        value = value * terms.flatten(2).mean(2).clamp(min=0) ** weight
        x_hat, x = (F.avg_pool2d(side, 2) for side in (x_hat, x)) if not last else (x_hat, x)
    return value.mean(1)


def _parts(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure of every window (Wang et al. 2004, eq. 6, 9-10)."""
    size = min(WINDOW, *a.shape[-2:])
    offsets = torch.arange(size, dtype=a.dtype, device=a.device) - (size - 1) / 2
    kernel = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    kernel = kernel / kernel.sum()

    def mean(image: Tensor) -> Tensor:
        flat = image.flatten(0, 1)[:, None]
        across = F.conv2d(flat, kernel[None, None, None, :])
        return F.conv2d(across, kernel[None, None, :, None]).unflatten(0, image.shape[:2])

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return luminance, (2 * covariance + C2) / (var_a + var_b + C2)
