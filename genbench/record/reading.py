"""What somebody's files hold, as far as it is whole: values, and a line for all that is not.

Whatever bytes a file is made of, reading it raises nothing, in bounded time. A line names the
file, where it can the line in it, and what is wrong.
"""

import json
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from genbench.console import first_line
from genbench.npz import read_npz
from genbench.record.fit import below, brief, fit, is_name, number, position, text
from genbench.record.shapes import Evaluation

DEEPEST = 20  # objects and lists inside each other
LAST_BYTES = 65_536  # of a log, in which its last rows are looked for
SAID = 5  # damaged lines of one file that are named
UNPACKED = 2**28  # bytes of a run's arrays
LARGEST_FILE = 2**31  # bytes
LARGEST_CODE = 1e15  # beyond it the square of a number is no `float32`
T = TypeVar("T")
Arrays = dict[str, np.ndarray]
Row = dict[str, Any]  # step, epoch, split; numbers by name, or the name and the file of a picture

WHERE = {"step": position, "epoch": position, "split": text}  # of every row: where it stands
_media = WHERE | {"name": text, "file": below}
_event = WHERE | {"event": text}
_leading = {  # axes of the arrays in pictures.npz before (H, W[, 3])
    **{"originals": 1, "reconstructions": 1, "samples": 1},
    **{"neighbours": 2, "interpolations": 2, "manifold": 2},
}


def parse(data: bytes) -> Any:
    """JSON, of which no number is too long, nothing is too deep and all text can be written.

    Raises:
        ValueError: It is none.
    """
    try:
        string = data.decode()
        value = json.loads(string)
        if "\\ud" in string.lower():  # half a character, perhaps
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise ValueError("no UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON ({error.msg} at character {error.pos + 1})") from error
    except ValueError as error:
        raise ValueError("a number with too many digits") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if string.count("[") + string.count("{") > DEEPEST and _depth(value) > DEEPEST:
        raise ValueError("nested too deeply")
    return value


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        level = [item for outer in level for item in _items(outer)]
        depth += 1
    return depth


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def parse_row(line: bytes) -> Row:
    """A line of metrics.jsonl: numbers by name, a `file` (picture or table), or an `event`.

    `step`, `epoch` and all numbers are `float`.

    Raises:
        ValueError: It is none of these.
    """
    row = parse(line)
    if not isinstance(row, dict):
        raise ValueError(f"{brief(row)} is no object")
    checks = _media if "file" in row else _event if "event" in row else WHERE
    if missing := [name for name in checks if name not in row]:
        raise ValueError(f"lacks {', '.join(missing)}")
    for name, value in row.items():
        if not is_name(name):
            raise ValueError(f"{brief(name)} is no name")
        try:
            row[name] = checks.get(name, number)(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return row


def row_or_none(line: bytes) -> Row | None:
    """`parse_row`, but None for a line that is damaged or torn."""
    try:
        return parse_row(line)
    except ValueError:
        return None


def parse_evaluation(line: bytes) -> Evaluation:
    """A line of evaluations.jsonl.

    Raises:
        ValueError: It is none.
    """
    problems: list[str] = []
    found = parse(line)
    if isinstance(found, dict) and found.get("memorization") == {}:  # not looked for, once
        del found["memorization"]
    evaluation: Evaluation = fit(found, Evaluation, problems)
    if problems:
        raise ValueError(problems[0])
    return evaluation


def read_lines(path: Path, parse_line: Callable[[bytes], T]) -> tuple[list[T], list[str]]:
    """The lines of a file as `parse_line` reads them, and what is wrong with the others.

    The last line may be torn without a word: its writer was killed, or still writes.
    """
    content, problems = _content(path)
    lines = (content or b"").split(b"\n")
    values, damaged = [], 0
    for i, line in enumerate(lines, 1):
        try:
            if line.strip():
                values.append(parse_line(line))
        except ValueError as error:
            if i < len(lines):
                damaged += 1
                problems += [f"{path}:{i}: {error}"] * (damaged <= SAID)
    if damaged > SAID:
        problems.append(f"{path}: {damaged - SAID} more damaged lines")
    return values, problems


def last_rows(path: Path) -> Iterator[Row]:
    """The last rows of a metrics.jsonl that can be read, the last one first; see LAST_BYTES."""
    try:
        if not _is_there(path):
            return
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_BYTES))
            lines = file.read().split(b"\n")
    except (OSError, ValueError):
        return
    yield from filter(None, map(row_or_none, reversed(lines)))


def read_object(path: Path, kind: type[T]) -> tuple[T | None, list[str]]:
    """The object of a file, without fields that are damaged; None if there is none.

    A file that is not there is no problem.
    """
    content, problems = _content(path)
    if content is None:
        return None, problems
    value: T | None = None
    try:
        value = fit(parse(content), kind, problems)
    except ValueError as error:
        problems = [str(error)]
    said = [f"{path}: {problem}" for problem in problems[:SAID]]
    if len(problems) > SAID:
        said.append(f"{path}: {len(problems) - SAID} more damaged fields")
    return value, said


def read_arrays(
    path: Path, check: Callable[[str, np.ndarray, Arrays], None]
) -> tuple[Arrays, list[str]]:
    """The arrays of an .npz file that pass a check.

    It is given an array's name, the array, and those before it, and raises `ValueError`.
    """
    try:
        if not _is_there(path):
            return {}, []
        arrays = read_npz(path, UNPACKED)
    except (OSError, ValueError) as error:
        return {}, [_refusal(path, error)]
    fitting: Arrays = {}
    problems = []
    for name, array in arrays.items():
        try:
            check(name, array, fitting)
            fitting[name] = array
        except ValueError as error:
            problems.append(f"{path}: {brief(name)}: {error}")
    return fitting, problems


def read_picture(path: Path) -> tuple[np.ndarray | None, list[str]]:
    """A PNG as runs write them, (H, W) or (H, W, 3) `uint8`; None if it is none."""
    try:
        if not _is_there(path):
            return None, []
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG",)) as image:
                if image.mode not in ("L", "RGB"):
                    raise ValueError(f"a picture of mode {image.mode}")
                return np.asarray(image), []
    except Exception as error:  # decoders raise almost anything on damaged files
        return None, [f"{path}: {first_line(error)}"]


def _content(path: Path) -> tuple[bytes | None, list[str]]:
    """A file's bytes; None if it is not there, or with a problem."""
    try:
        return (path.read_bytes() if _is_there(path) else None), []
    except (OSError, ValueError) as error:
        return None, [_refusal(path, error)]


def _is_there(path: Path) -> bool:
    """Whether there is a file; `ValueError` for what would be waited for, or fill the memory."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("no file")
    if status.st_size > LARGEST_FILE:
        raise ValueError(f"{status.st_size:,} bytes, more than a record has")
    return True


def _refusal(path: Path, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else error
    return f"{path}: {reason}"


def check_picture_array(name: str, array: np.ndarray, others: Arrays) -> None:
    """Raise `ValueError` for an array of pictures.npz that is not as a training leaves it."""
    if name == "manifold_extent":
        left, right, bottom, top = _reals(array, (4,)).tolist()
        if not (left < right and bottom < top):
            raise ValueError("no area")
    elif axes := _leading.get(name):
        pixels = _pictures(array, axes)
        for other in others.keys() & _leading.keys():
            if others[other].shape[_leading[other] :] != pixels:
                raise ValueError(f"pictures of another size than {other}")


def _pictures(array: np.ndarray, axes: int) -> tuple[int, ...]:
    """The shape of a picture, (H, W) or (H, W, 3), behind so many axes; `ValueError`: of none."""
    pixels = array.shape[axes:]
    grey, colour = len(pixels) == 2, len(pixels) == 3 and pixels[-1] == 3
    if array.dtype != np.uint8 or not (grey or colour) or not array.size:
        raise ValueError(f"{array.dtype} of shape {array.shape} is no set of pictures")
    return pixels


def check_latent_array(name: str, array: np.ndarray, others: Arrays) -> None:
    """The same for latents.npz."""
    alike = {"z", "labels", "pictures"}
    if name in alike and any(
        len(others[other]) != len(array) for other in others.keys() & alike if array.ndim
    ):
        raise ValueError("codes, labels and pictures are not as many")
    if name == "z":
        _reals(array, (None, None))
    elif name == "labels" and (array.ndim != 1 or array.dtype.kind not in "iu"):
        raise ValueError(f"{array.dtype} of shape {array.shape} is no row of labels")
    elif name == "pictures":
        _pictures(array, 1)
    elif name == "split" and (array.ndim or array.dtype.kind != "U"):
        raise ValueError("names no split")


def _reals(array: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """Numbers that can be squared, of a shape (None: any length)."""
    same = array.ndim == len(shape) and array.size > 0
    if not same or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        raise ValueError(f"an array of shape {array.shape}")
    if array.dtype.kind != "f" or not (np.abs(array) < LARGEST_CODE).all():
        raise ValueError("not all of its values are numbers that can be drawn")
    return array
