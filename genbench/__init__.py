"""genbench: experiment tracking for generative image models."""

__version__ = "0.1.0"


class UserError(ValueError):
    """Bad input: one line that names the input and the way out.

    `genbench.cli.guard` turns it into a message on stderr and exit code 2, without a traceback.
    """
