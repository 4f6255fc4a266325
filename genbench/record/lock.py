"""One process at a time gives a run to W&B."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genbench import UserError, files


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
        if not files.locked(handle, wait):
            raise UserError(
                f"{folder}: W&B is being fed with it by its own training; sync it after that"
            )
        yield
    finally:
        os.close(handle)
