"""Images as `uint8` arrays: grids as runs save them, digits at the size of their scores."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

DIGITS_SIDE, FRAMED_SIDE = 28, 32  # pixels of digits as they are, and as GANs draw them


def to_bytes(x: "Tensor") -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] as `uint8`, on the CPU."""
    return (x * 255).round().clamp(0, 255).byte().cpu().numpy()


def channels_last(images: np.ndarray) -> np.ndarray:
    """Images (..., C, H, W) as (..., H, W) if grey, else (..., H, W, 3)."""
    return images[..., 0, :, :] if images.shape[-3] == 1 else np.moveaxis(images, -3, -1)


def to_uint8(x: "Tensor") -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] as `uint8` (N, H, W) if grey, else (N, H, W, 3)."""
    return channels_last(to_bytes(x))


def to_grid(x: "Tensor", columns: int) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] as one `uint8` picture, see `tile`."""
    return tile(to_uint8(x), columns)


def framed(images: np.ndarray) -> np.ndarray:
    """Digits (N, C, 28, 28) with black around them up to 32 px; other pictures as they are.

    All families' digits are scored at the size at which GANs draw them.
    """
    if images.shape[-1] != DIGITS_SIDE:
        return images
    edges = ((FRAMED_SIDE - DIGITS_SIDE) // 2,) * 2
    return np.pad(images, [(0, 0), (0, 0), edges, edges])


def shrink(images: np.ndarray, most: int) -> np.ndarray:
    """Pictures (N, C, S, S) `uint8` as (N, C, T, T), T <= most: means of whole cells."""
    step = -(-images.shape[-1] // most)
    side = images.shape[-1] // step
    cut = images[..., : side * step, : side * step]
    cells = cut.reshape(*images.shape[:2], side, step, side, step)
    return cells.mean((3, 5)).round().astype(np.uint8) if step > 1 else images


def tile(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Pictures (N, H, W[, 3]) `uint8`, row by row with white between them, as one picture."""
    edges = [(0, -len(pictures) % columns), (1, 1), (1, 1)] + [(0, 0)] * (pictures.ndim - 3)
    tiles = np.pad(pictures, edges, constant_values=255)
    rows = tiles.reshape(-1, columns, *tiles.shape[1:]).swapaxes(1, 2)
    height, width = tiles.shape[1:3]
    return rows.reshape(len(rows) * height, columns * width, *tiles.shape[3:])


def first_tiles(grid: np.ndarray, n: int, a_row: bool = False) -> np.ndarray:
    """The first n square pictures (n, S, S[, 3]) of a `tile` of 8 columns, or the first of n rows.

    Of fewer rows there are as many.
    """
    side = grid.shape[1] // 8
    places = [(side * (k // 8), side * (k % 8)) for k in range(n)]
    if a_row:
        places = [(side * k, 0) for k in range(min(n, grid.shape[0] // side))]
    return np.stack([grid[y + 1 : y + side - 1, x + 1 : x + side - 1] for y, x in places])
