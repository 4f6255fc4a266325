"""Files that are written whole or not at all, refusals of the disk, and strict JSON."""

import contextlib
import errno
import json
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from genbench import UserError

ROOM = 16_384  # bytes that `reserve` takes
WAYS_OUT = {
    errno.ENOSPC: "make room (`df -h`, `df -i`), or {other}",
    errno.EDQUOT: "make room in your quota, or {other}",
    errno.EFBIG: "`ulimit -f` limits the size of files, raise it",
    errno.EMFILE: "`ulimit -n` limits the number of open files, raise it",
}


class DiskError(UserError):
    """The system refuses to write: disk, quota or inodes are used up, read-only, not permitted.

    `reason` is the system's word for it.
    """

    reason = ""


def _refused(what: str | Path, error: OSError, other: str) -> DiskError:
    """What cannot be written, why, and the way out; `other` is one."""
    reason = error.strerror or str(error)
    way_out = WAYS_OUT.get(error.errno or 0, "{other}").format(other=other)
    refused = DiskError(f"{what}: cannot be written ({reason}); {way_out}")
    refused.reason = reason
    return refused


@contextmanager
def writing(what: str | Path, other: str = "name another folder") -> Iterator[None]:
    """Turn the system's refusal to write `what` into a `DiskError`."""
    try:
        yield
    except OSError as error:
        raise _refused(what, error, other) from error
    except RuntimeError as error:  # torch raises its own while it handles the system's
        if not isinstance(error.__context__, OSError):
            raise
        raise _refused(what, error.__context__, other) from error


def writable(runs_dir: str) -> contextlib.AbstractContextManager[None]:
    """Turn the system's refusal to write below `runs_dir` into a `DiskError`."""
    return writing(f"runs_dir={runs_dir}", "choose another with --runs_dir")


@contextmanager
def whole(path: Path, room: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write, which stands at `path` once the block has ended well, and else nowhere.

    It is made beside `path` as a `.part`, which a killed process leaves behind, and is on the disk
    before it takes its name: after a loss of power there is the old file or the new one.

    Args:
        path: The file.
        room: What `reserve(path)` returned: the file is written into that.

    Raises:
        DiskError: It cannot be written.
    """
    part = room or path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with writing(path):
            with open(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
                yield file
                if room:
                    file.truncate()
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def reserve(path: Path) -> Path:
    """Take room on the disk for a small file at `path`, which `whole` writes later.

    Returns:
        The file that holds it: of noise, since some file systems keep zeros in no room.

    Raises:
        DiskError: There is none.
    """
    room = path.with_name(f"{path.name}.room.part")
    with whole(room) as file:
        file.write(os.urandom(ROOM))
    return room


def append_line(file: BinaryIO, text: str) -> None:
    """Append a line, whole or not at all; half a line of a killed process is ended before it.

    Args:
        file: Opened as "a+b" and unbuffered.
        text: The line, without its end.

    Raises:
        DiskError: It cannot be written.
    """
    with writing(file.name):
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        before = b"" if file.read(1) in (b"", b"\n") else b"\n"
        left = memoryview(before + text.encode() + b"\n")
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            file.truncate(end)
            raise


def shown(folder: Path) -> str:
    """A path as it is named from here, if that is shorter."""
    return min(str(folder), os.path.relpath(folder), key=len)


def locked(file: IO | int, wait: bool = False) -> bool:
    """Lock an open file until it is closed, by a kill too; False: another process holds the lock.

    Where the system or the file system has no such locks, no process is known to hold one.

    Args:
        file: It, or its descriptor.
        wait: Until another process lets go.
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
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


def write_json(path: Path, value: dict[str, Any], room: Path | None = None) -> None:
    """Write a JSON file, whole or not at all, into the room that was reserved for it if any."""
    with whole(path, room) as file:
        file.write(to_json(value, indent=2).encode() + b"\n")
