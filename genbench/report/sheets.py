"""Pictures as arrays: sheets of them, and small PNG and GIF files, pixel by pixel."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genbench.images import tile
from genbench.record import Record, read_picture

SHEET = (560, 640)  # pixels wide and high that a sheet is enlarged towards, by a whole factor
LARGE = 120_000  # bytes of a PNG above which it is held to 256 colours
FILM = 400_000  # bytes of a film
FRAMES = 24  # of a film, at most
Picture = np.ndarray  # (H, W[, 3]) `uint8`


def to_png(picture: Picture) -> bytes:
    """As small as it goes: enlarged by a whole factor if small, of 256 colours if large."""
    image = Image.fromarray(_enlarged(picture, _scale(picture)))
    data = encoded(image, "PNG", optimize=True)
    if len(data) > LARGE and image.mode == "RGB":
        colours = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        data = encoded(colours, "PNG", optimize=True)
    return data


def _enlarged(picture: Picture, scale: int) -> Picture:
    return picture.repeat(scale, 0).repeat(scale, 1)


def _scale(picture: Picture) -> int:
    return max(1, min(round(SHEET[0] / picture.shape[1]), SHEET[1] // picture.shape[0]))


def to_gif(frames: Sequence[Picture]) -> bytes:
    """A film that goes round, of fewer pixels, colours and frames until it is small enough."""
    usual = _scale(frames[0])
    for scale, n, colours in (
        *((usual, FRAMES, 256), (1, FRAMES, 256), (1, FRAMES, 64)),
        *((1, 12, 64), (1, 12, 32), (1, 6, 32), (1, 3, 16)),
    ):
        places = np.linspace(0, len(frames) - 1, min(n, len(frames))).round().astype(int)
        some = [_enlarged(frames[i], scale) for i in places]
        images = [Image.fromarray(frame).convert("RGB") for frame in some]
        first, *rest = [image.quantize(colours, dither=Image.Dither.NONE) for image in images]
        times = [260] * len(rest) + [1500]  # milliseconds
        data = encoded(
            first, "GIF", save_all=True, append_images=rest, duration=times, loop=0, optimize=True
        )
        if len(data) <= (FILM if scale == 1 else FILM // 4):
            break
    return data


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file of this kind, in memory; options are those of Pillow's writer."""
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def kept_arrays(run: Record, archive: str, *names: str) -> bool:
    """Whether a run kept <archive>.npz with arrays of these names."""
    return set(names) <= run.arrays(archive).keys()


def array(run: Record, archive: str, name: str) -> np.ndarray:
    """An array of a run's <archive>.npz."""
    return run.arrays(archive)[name]


def as_it_is(path: Path) -> Picture:
    """A picture on disk as it is."""
    picture = read_picture(path)
    assert picture is not None  # who draws has looked
    return picture


def tiled(pictures: np.ndarray) -> Picture:
    """Pictures (rows, columns, H, W[, 3]) as one, a white line around each, as runs save grids."""
    return tile(pictures.reshape(-1, *pictures.shape[2:]), columns=pictures.shape[1])


def eight_by_eight(pictures: np.ndarray, rows: int = 8) -> Picture:
    """Up to 64 pictures (N, H, W[, 3]) row by row as one, white where there are fewer.

    Args:
        pictures: They, `uint8`.
        rows: Of 8 pictures, if more or fewer are wanted.
    """
    some = pictures[: 8 * rows]
    missing = [(0, 8 * rows - len(some))] + [(0, 0)] * (some.ndim - 1)
    return tile(np.pad(some, missing, constant_values=255), columns=8)


def side_by_side(panels: Sequence[Picture], gap: int) -> Picture:
    """Pictures of one height beside each other, so many white pixels between two."""
    colours = [p if p.ndim == 3 else np.stack([p] * 3, axis=-1) for p in panels]
    white = np.full((len(panels[0]), gap, 3), 255, np.uint8)
    return np.concatenate([part for p in colours for part in (white, p)][1:], axis=1)
