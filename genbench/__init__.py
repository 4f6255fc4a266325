"""genbench: experiment tracking for generative image models."""

__version__ = "0.1.0"


class UserError(Exception):
    """Bad input: one line that names the input and the way out.

    `genbench.cli.guard` turns it into a message on stderr and exit code 2, without a traceback.
    No ValueError, which tyro and others catch.
    """
