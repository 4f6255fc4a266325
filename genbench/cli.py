"""The command lines: parsing, clear endings, and `genbench` itself. Imports are lazy."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, TypeVar

from genbench import UserError
from genbench.config import Config

T = TypeVar("T")


def parse(kind: type[T]) -> T:
    """Read a configuration dataclass from the command line; flags as W&B's agent writes them."""
    import tyro

    return tyro.cli(kind, config=(tyro.conf.FlagConversionOff,), use_underscores=True)


def guard(main: Callable[[], None]) -> None:
    """Run `main`; bad input is one line and exit code 2, Ctrl-C and SIGTERM end in good order."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; what is done is kept", file=sys.stderr)
        sys.exit(130)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def train_main(kind: type[Config]) -> None:
    """Train what the command line says, and print the scores of its best epoch."""

    def main() -> None:
        config = parse(kind)
        from genbench.handlers import Diverged
        from genbench.train import train

        try:
            scores = train(config)
        except Diverged as error:
            sys.exit(f"failed: {error}")
        for name, value in scores.items():
            print(f"{name:24} {value:.4f}")

    guard(main)
