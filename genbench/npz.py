"""Arrays from files that anybody may have written: nothing is unpickled, and size is bounded."""

import zipfile
from pathlib import Path

import numpy as np

from genbench.console import first_line

LIMIT = 4 * 2**30  # bytes of arrays in one file


def read_npz(path: Path, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """The arrays of an .npz file; a zip file has a checksum a member.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is damaged, holds objects, or more than `limit` bytes of arrays.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as members:
                size = sum(member.file_size for member in members.infolist())
            if size > limit:
                raise ValueError(f"{size:,} bytes of arrays, {limit:,} at most")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except Exception as error:  # zipfile and NumPy raise almost anything on damaged files
            raise ValueError(_reason(error)) from error
    if others := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise ValueError(f"{others[0]!r} is no array")
    return arrays


def read_npy(path: Path, shape: tuple[int | None, ...], mapped: bool = False) -> np.ndarray:
    """The array of an .npy file, which must be `uint8` and of this shape (None: any length).

    Raises:
        OSError: It cannot be opened.
        ValueError: It is damaged, or of something else.
    """
    try:
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # NumPy raises almost anything on damaged files
        raise ValueError(_reason(error)) from error
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
        raise ValueError("no array of bytes")
    fits = [wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=False)]
    if array.ndim != len(shape) or not all(fits):
        raise ValueError(f"an array of shape {array.shape}")
    return array


def _reason(error: Exception) -> str:
    """What is wrong with the file; NumPy's advice to unpickle it is not passed on."""
    text = first_line(error)
    return "holds objects, not arrays" if "pickle" in text else text
