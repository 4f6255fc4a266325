"""What a record says of the code, the machine and the command line."""

import datetime
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from genbench import __version__

PACKAGES = ("torch", "torchvision", "pytorch-ignite", "wandb", "optuna", "numpy")


def now() -> str:
    """The time, as records write it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def provenance() -> dict[str, Any]:
    """Commit, versions, machine and command line, as they are now."""
    versions = {"genbench": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return {
        "created": now(),
        "command": [Path(sys.argv[0]).name, *map(masked, sys.argv[1:])],
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        "versions": versions,
        "platform": platform.platform(),
    }


def masked(text: str) -> str:
    """`text` without the password of a URL in it."""
    return re.sub(r"(://[^:/@\s]+:)[^@\s]+@", r"\1***@", text)


def git(*args: str) -> str | None:
    """What git says of this package's checkout; None outside one."""
    try:
        done = subprocess.run(
            ["git", *args],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
