"""Lines for the person at the terminal, apart from the results on stdout."""

import functools
import sys


def say(line: str) -> None:
    """One line on stderr."""
    print(line, file=sys.stderr, flush=True)


@functools.cache
def say_once(line: str) -> None:
    """`say`, but not the same line again in this process."""
    say(line)


def first_line(error: Exception) -> str:
    """What an error says, on one line; its kind if it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0]
