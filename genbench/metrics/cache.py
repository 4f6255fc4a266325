"""What was computed once of the same content is read back: arrays in files, named by a hash."""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from inspect import getsourcefile
from pathlib import Path
from typing import Any

import numpy as np

from genbench.console import say, say_once
from genbench.environment import cache_folder
from genbench.files import DiskError, whole, writing
from genbench.npz import read_npz

LIMIT = 4 * 2**30  # bytes; beyond them what was not read for the longest time goes
STALE_SECONDS = 86_400.0  # younger halves of files may be in the making

Arrays = dict[str, np.ndarray]
KeyPart = str | int | float | np.ndarray


def content_hash(parts: Iterable[KeyPart]) -> str:
    """SHA-256 of values and arrays (bytes, shape and type), in hex."""
    digest = hashlib.sha256()
    for part in parts:
        array = isinstance(part, np.ndarray)
        about = f"{part.dtype}{part.shape}" if isinstance(part, np.ndarray) else repr(part)
        digest.update(f"{len(about)}:{about}".encode())
        if array:
            digest.update(np.ascontiguousarray(part))  # type: ignore[arg-type]
    return digest.hexdigest()


def source_hash(*files: str) -> str:
    """SHA-256 of source files: what other code has computed is not read back."""
    return content_hash(Path(file).read_text("utf-8", "replace") for file in files)


def sources_of(function: Any) -> list[str]:
    """The file that a function stands in with its neighbours, which it may call.

    Returns:
        None of them where Python cannot tell, as of a builtin.
    """
    while isinstance(function, partial):
        function = function.func
    try:
        own = getsourcefile(function)
    except TypeError:  # a builtin, or an object that is called
        own = None
    if not own or not Path(own).is_file():  # or it was typed
        return []
    return sorted(str(file) for file in Path(own).parent.glob("*.py") if file.is_file())


class Cache:
    """Arrays by what they were computed from.

    The key is everything that the arrays depend on (pixels, weights, code), so that nothing read
    back can be stale; a torn or damaged file is said, and computed anew.
    """

    def __init__(self, folder: Path | None):
        """Keep files in `folder`; None: keep nothing."""
        self.folder = folder

    def get(self, name: str, key: Iterable[KeyPart], make: Callable[[], Arrays]) -> Arrays:
        """What `make()` gave for this name and key, now or at an earlier time."""
        if not self.folder:
            return make()
        digest = content_hash([name, *key])
        path = self.folder / f"{name}-{digest[:32]}.npz"
        arrays = _read(path, digest)
        if arrays is None:
            arrays = make()
            self._write(path, arrays | {"key": np.array(digest)})
        return arrays

    def _write(self, path: Path, arrays: Arrays) -> None:
        """Whole or not at all; a folder that cannot be written costs time only."""
        try:
            with writing(path.parent):
                path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path) as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        except DiskError as error:
            say_once(f"{path.parent}: features cannot be kept ({error.reason})")
        with contextlib.suppress(OSError):  # another process tidies too
            self._tidy()

    def _tidy(self) -> None:
        assert self.folder
        for torn in self.folder.glob("*.part"):
            if time.time() - torn.stat().st_mtime > STALE_SECONDS:
                torn.unlink(missing_ok=True)
        stats = [(path, path.stat()) for path in self.folder.glob("*.npz")]
        excess = sum(stat.st_size for _, stat in stats) - LIMIT
        for path, stat in sorted(stats, key=lambda pair: pair[1].st_mtime):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= stat.st_size


def feature_cache() -> Cache:
    """Where features, and the scores made of them, are kept."""
    return Cache(cache_folder() / "features")


def _read(path: Path, digest: str) -> Arrays | None:
    """The arrays of a file that is whole (a zip file has a checksum a member) and of this key."""
    try:
        arrays = read_npz(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        say(f"{path}: damaged; computed anew")
        return None
    if str(arrays.pop("key", "")) != digest:
        say(f"{path}: of something else; computed anew")
        return None
    with contextlib.suppress(OSError):  # a cache that others own
        os.utime(path)
    return arrays
