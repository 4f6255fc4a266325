"""`genbench doctor`: what this machine has for a training, and what is wrong in a runs folder."""

from pathlib import Path

from genbench import UserError
from genbench.console import print_table
from genbench.doctor.folder import look_into
from genbench.doctor.machine import look_around


def examine(runs_dir: str, clean: bool) -> None:
    """Print what was found as two tables, each line with what to do about it.

    Args:
        runs_dir: The folder of run folders; the default one need not be there.
        clean: Remove what killed writers left behind.

    Raises:
        UserError: The folder cannot be read.
    """
    folder = Path(runs_dir).expanduser()
    if not folder.is_dir() and (folder.exists() or runs_dir != "runs"):
        raise UserError(f"{runs_dir}: no folder of runs; name another, as genbench doctor RUNS")
    print_table(["", "found", "what to do"], look_around(folder), "This machine", left=True)
    try:
        rows = look_into(folder, clean) if folder.is_dir() else []
    except OSError as error:
        raise UserError(f"{runs_dir}: cannot be read ({error.strerror})") from error
    if rows:
        print_table(["", "found", "what to do"], rows, f"Runs in {runs_dir}", left=True)
    else:
        print(f"\nRuns in {runs_dir}: nothing wrong")
