"""Grids of pictures: how runs save them, and how the report reads them back."""

import numpy as np


def tile(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Pictures (N, H, W[, 3]) `uint8`, row by row with white between them, as one picture."""
    edges = [(0, -len(pictures) % columns), (1, 1), (1, 1)] + [(0, 0)] * (pictures.ndim - 3)
    tiles = np.pad(pictures, edges, constant_values=255)
    rows = tiles.reshape(-1, columns, *tiles.shape[1:]).swapaxes(1, 2)
    height, width = tiles.shape[1:3]
    return rows.reshape(len(rows) * height, columns * width, *tiles.shape[3:])


def first_tiles(grid: np.ndarray, n: int) -> np.ndarray:
    """The first n square pictures (n, S, S[, 3]) of a `tile` of 8 columns."""
    side = grid.shape[1] // 8
    places = [(side * (k // 8), side * (k % 8)) for k in range(n)]
    return np.stack([grid[y + 1 : y + side - 1, x + 1 : x + side - 1] for y, x in places])
