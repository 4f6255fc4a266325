"""One process at a time gives a run to W&B."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from genbench import UserError


@contextmanager
def locked(folder: Path, wait: bool = True) -> Iterator[None]:
    """Hold a run's folder, which the system lets go when the process ends, however it does.

    Args:
        folder: Of the run.
        wait: Until another process lets go.

    Raises:
        UserError: Another process holds it, and `wait` is false.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(ImportError, OSError):  # a system, or a file system, without such locks
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise UserError(
                    f"{folder}: W&B is being fed with it by its own training; sync it after that"
                ) from error
        yield
    finally:
        os.close(handle)
