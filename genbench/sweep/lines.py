"""YAML whose every key knows its line, and the problems found in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from genbench import UserError


@dataclass
class Sheet:
    """A YAML file: its content, and what is wrong with it by line."""

    path: Path
    content: Any
    lines: dict[tuple[Any, ...], int] = field(default_factory=dict)  # of each key, 1 is the first
    problems: list[tuple[int, str]] = field(default_factory=list)

    def problem(self, where: tuple[Any, ...], text: str) -> None:
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
        return [f"{self.path}:{line}: {text}" for line, text in sorted(set(self.problems))]


def read_sheet(path: Path) -> Sheet:
    """Read a YAML file; a key that stands twice is its first problem.

    Raises:
        UserError: It is missing or no YAML.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"sweep={path}: cannot be read ({error})") from error
    try:
        sheet = Sheet(path, yaml.safe_load(text))
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from error
    if root:
        _number(sheet, root, ())
    return sheet


def _number(sheet: Sheet, node: yaml.Node, where: tuple[Any, ...]) -> None:
    """Note the line of every key below `node`."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        inner = (*where, key.value)
        line = key.start_mark.line + 1
        if inner in sheet.lines:
            sheet.problems.append(
                (line, f"{key.value}: stands in line {sheet.lines[inner]} too; delete one")
            )
        sheet.lines[inner] = line
        _number(sheet, value, inner)
