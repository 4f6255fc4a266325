"""Lines for the person at the terminal on stderr, and results as tables on stdout."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TextIO


def say(line: str) -> None:
    """One line on stderr."""
    print(line, file=sys.stderr, flush=True)


_speaks: Callable[[], bool] | None = None  # of several processes: whether it is this one


def choose_speaker(speaks: Callable[[], bool]) -> None:
    """Of several processes, one that `speaks` says of itself shall say how all of them ended."""
    global _speaks
    _speaks = speaks


def say_end(line: str) -> None:
    """How a command ended, one line on stderr; of several processes one says it."""
    if not _speaks:
        say(line)
    elif _speaks():
        with contextlib.suppress(OSError):
            print(line, file=sys.__stderr__, flush=True)  # others than the first are silent


@functools.cache
def say_once(line: str) -> None:
    """`say`, but not the same line again in this process."""
    say(line)


class Stream:
    """stdout or stderr, of which a line that cannot be written costs no work.

    `error` is the first refusal; what comes after it goes nowhere.
    """

    def __init__(self, stream: TextIO | None):
        """Write to `stream`; None: it was closed when Python began."""
        self.stream = stream or open(os.devnull, "w")  # noqa: SIM115 - it stays open
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write to the stream, or nowhere."""
        with self._lenient():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        with self._lenient():
            self.stream.flush()

    @contextlib.contextmanager
    def _lenient(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = error
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())

    def __getattr__(self, name: str) -> Any:
        """Whatever else a stream has."""
        return getattr(self.stream, name)


@contextlib.contextmanager
def lenient_output(silent: bool = False) -> Iterator[Stream]:
    """stdout and stderr as `Stream`s, flushed at the end of the block, which gets the first.

    `silent`: what is written goes nowhere.
    """
    out, err = (Stream(None if silent else stream) for stream in (sys.stdout, sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield out
        finally:
            out.flush()
            err.flush()


def counted(n: float, what: str) -> str:
    """`1 trial`, `2,000 trials`, `0.5 minutes`."""
    number = f"{n:,}" if isinstance(n, int) else f"{n:g}"
    return f"{number} {what}" if n == 1 else f"{number} {what}s"


def listed(words: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def first_line(error: Exception) -> str:
    """What an error says, on one line; its kind if it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0]


def print_table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    title: str = "",
    footer: str = "",
    left: bool = False,
) -> None:
    """A table on stdout: the first column to the left, the others to the right (of numbers).

    Off a terminal no cell is folded, so that `grep` finds whole lines. rich is imported here: it
    takes a tenth of a second.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 10_000
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, name in enumerate(header):
        table.add_column(
            name, justify="right" if i and not left else "left", no_wrap=not console.is_terminal
        )
    for row in rows:
        table.add_row(*row)
    if title:
        console.print(f"\n{title}", soft_wrap=True)
    console.print(table)
    if footer:
        console.print(footer, soft_wrap=True)
