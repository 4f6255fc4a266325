"""Files that are written whole or not at all, and strict JSON."""

import contextlib
import json
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from genbench import UserError


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which stands at `path` once the block has ended well, and else nowhere.

    It is made beside `path` as a `.part`, which a killed process leaves behind.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as file:
            yield file
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def writable(runs_dir: str) -> Iterator[None]:
    """Turn the system's refusal to write below `runs_dir` into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"runs_dir={runs_dir}: cannot be written ({error.strerror}); "
            "choose another with --runs_dir"
        ) from error


def locked(file: IO) -> bool:
    """Lock an open file until it is closed, by a kill too; False: another process holds the lock.

    Where the system or the file system has no such locks, no process is known to hold one.
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True


def to_json(value: Any, indent: int | None = None) -> str:
    """Strict JSON: NaN and infinities as the strings "NaN", "Infinity" and "-Infinity"."""

    def strict(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: strict(inner) for key, inner in item.items()}
        if isinstance(item, list | tuple):
            return [strict(inner) for inner in item]
        if isinstance(item, float) and not math.isfinite(item):
            return "NaN" if math.isnan(item) else ("Infinity" if item > 0 else "-Infinity")
        return item

    return json.dumps(strict(value), allow_nan=False, indent=indent)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file."""
    with whole(path) as file:
        file.write(to_json(value, indent=2).encode() + b"\n")
