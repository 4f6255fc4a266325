"""A sweep file whose every key knows its line, and the problems found in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench import UserError
from genbench.sweep.plain import Refused, Where, read_plain, read_text

LONGEST = 300  # characters of a problem; of a longer one the middle is left out


@dataclass
class Sheet:
    """A YAML file: its content, and what is wrong with it by line."""

    path: Path
    content: Any
    lines: dict[Where, int] = field(default_factory=dict)  # of each key, 1 is the first
    problems: list[tuple[int, str]] = field(default_factory=list)

    def problem(self, where: Where, text: str) -> None:
        """Note a problem of the key at `where`, or of the nearest key around it."""
        while where and where not in self.lines:
            where = where[:-1]
        self.problems.append((self.lines.get(where, 1), text))

    def has(self, *keys: str) -> bool:
        """Whether a problem stands at or below one of these keys of the top level."""
        lines = {line for where, line in self.lines.items() if where[:1] and where[0] in keys}
        return any(line in lines for line, _ in self.problems)

    @contextmanager
    def noting(self, *where: Any) -> Iterator[None]:
        """Turn a `UserError` into a problem of the key at `where`."""
        try:
            yield
        except UserError as error:
            self.problem(where, str(error))

    def said(self) -> list[str]:
        """A line a problem, in the file's order."""
        return [_line(self.path, *problem) for problem in sorted(set(self.problems))]


def read_sheet(path: Path) -> Sheet:
    """Read a YAML file; a key that stands twice is its first problem.

    Raises:
        UserError: It is missing, no YAML, or more than a sweep file can be.
    """
    try:
        plain = read_plain(read_text(path))
    except OSError as error:
        raise UserError(f"sweep={path}: cannot be read ({error.strerror or error})") from error
    except Refused as error:
        raise UserError(_line(path, error.line, error.text)) from error
    twice = [(line, f"{text}; keep one") for line, text in plain.twice]
    return Sheet(path, plain.content, plain.lines, twice)


def _line(path: Path, line: int, text: str) -> str:
    """A problem on one line, whatever it quotes of the file."""
    text = "".join(one if one.isprintable() else " " for one in text)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return f"{path}:{line}: {text}"
