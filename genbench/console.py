"""Lines for the person at the terminal on stderr, and results as tables on stdout."""

import functools
import sys
from collections.abc import Iterable, Sequence


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
