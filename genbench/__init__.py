"""genbench: experiment tracking for generative image models."""

import os
from typing import Any

# Torch's OpenMP threads spin while they wait, and take the cores from whoever else computes: two
# trainings at once took three times as long as one after the other. So they wait briefly only.
# OpenMP reads this when torch is imported; whoever chose how threads wait keeps it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"


class UserError(Exception):
    """Bad input: one line that names the input and the way out.

    `genbench.cli.guard` turns it into a message on stderr and exit code 2, without a traceback.
    No ValueError, which tyro and others catch.
    """


def __getattr__(name: str) -> Any:
    """`genbench.load` and `genbench.Model`, imported when they are used: they need torch."""
    if name == "load":
        from genbench.loading import load

        return load
    if name == "Model":
        from genbench.model import Model

        return Model
    raise AttributeError(f"module 'genbench' has no attribute {name!r}")
