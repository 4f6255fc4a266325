"""YAML as a sweep file needs it: text, numbers, true, false, null, lists and mappings.

Whatever a file holds, it is read in bounded time and memory, or refused at a line of it.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

LARGEST_FILE = 200_000  # bytes
MOST_NODES = 20_000  # values and keys, those behind an alias each time
DEEPEST = 20  # lists and mappings within each other
LONGEST_NUMBER = 100  # characters
TAG = "tag:yaml.org,2002:"  # of the types that YAML defines, written `!!int`
SCALARS = ("str", "int", "float", "bool", "null")
Where = tuple[Any, ...]  # the keys that lead to a value


class Refused(Exception):
    """What is wrong with a file, and in which line."""

    def __init__(self, line: int, text: str):
        super().__init__(text)
        self.line, self.text = line, text


@dataclass
class Plain:
    """A file's content, the line of every key, and the keys that stand twice."""

    content: Any = None
    lines: dict[Where, int] = field(default_factory=dict)  # 1 is the first
    twice: list[tuple[int, str]] = field(default_factory=list)


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        OSError: It cannot be read.
        Refused: It is too large, or no UTF-8.
    """
    if not path.is_file():  # reading a pipe might never end
        raise FileNotFoundError("no such file")
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise Refused(1, f"is larger than {LARGEST_FILE:,} bytes, so it is no sweep file")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused(line, f"not UTF-8: {error.reason}") from error


def read_plain(text: str) -> Plain:
    """Read YAML.

    Raises:
        Refused: It is none, or more than plain values, or too large or too deep.
    """
    try:
        root = yaml.compose(text, _Loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Refused(line, f"not YAML: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Refused(line, f"not YAML: {error.problem}") from error
    made = _Made()
    if root:
        made.plain.content = made.value(root, ())
    return made.plain


def _refuse(node: yaml.Node, text: str) -> NoReturn:
    raise Refused(node.start_mark.line + 1, text)


class _Loader(yaml.SafeLoader):
    """Composes nodes as far down as Python's stack bears, and not too many."""

    depth = count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        self.count += 1
        _bounded(self.peek_event(), self.count, self.depth)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _bounded(place: Any, count: int, depth: int) -> None:
    """Refuse what is too much; `place` is a node or an event."""
    if depth > DEEPEST:
        _refuse(place, f"lists and mappings stand more than {DEEPEST} deep in each other")
    if count > MOST_NODES:
        _refuse(place, f"holds more than {MOST_NODES:,} values, so it is no sweep file")


class _Made:
    """Values made of nodes. An alias is made anew each time, so that none holds itself."""

    def __init__(self) -> None:
        self.plain = Plain()
        self.constructor = yaml.constructor.SafeConstructor()
        self.count = 0

    def value(self, node: yaml.Node, where: Where | None, depth: int = 0) -> Any:
        """A value; the lines of the keys below it are kept, with no `where` they are not."""
        self.count += 1 + (len(node.value) // 50 if isinstance(node, yaml.ScalarNode) else 0)
        _bounded(node, self.count, depth)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{TAG}map":
            return self.mapping(node, where, depth + 1)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{TAG}seq":
            return [self.value(item, None, depth + 1) for item in node.value]
        return self.scalar(node)

    def mapping(self, node: yaml.MappingNode, where: Where | None, depth: int) -> dict[str, Any]:
        """A mapping; what `<<` merges into it stands behind its own keys."""
        content: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == f"{TAG}merge":
                content |= self.merged(value, where, depth)
        own: dict[str, list[int]] = {}
        for key, value in node.value:
            if key.tag == f"{TAG}merge":
                continue
            name, line = self.key(key), key.start_mark.line + 1
            inner = None if where is None else (*where, name)
            own.setdefault(name, []).append(line)
            if inner is not None:
                self.plain.lines[inner] = line
            content[name] = self.value(value, inner, depth)
        for name, [*others, last] in own.items():
            if others:
                lines = f"line{'s' if others[1:] else ''} {', '.join(map(str, others))}"
                self.plain.twice.append((last, f"{name}: stands in {lines} too"))
        return content

    def merged(self, node: yaml.Node, where: Where | None, depth: int) -> dict[str, Any]:
        """The mapping, or the list of mappings of which the first comes first, after a `<<`."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        content: dict[str, Any] = {}
        for part in reversed(parts):
            if not isinstance(part, yaml.MappingNode):
                _refuse(node, "<<: must be a mapping or a list of mappings")
            content |= self.value(part, where, depth)
        return content

    def key(self, node: yaml.Node) -> str:
        """A key's text."""
        if not isinstance(node, yaml.ScalarNode):
            _refuse(node, "a key must be text, no list or mapping")
        name = self.value(node, None)
        if not isinstance(name, str):
            _refuse(node, f"{node.value}: a key must be text; write it in quotes")
        return name

    def scalar(self, node: yaml.Node) -> Any:
        """Text, a finite number of at most 64 bits, true, false or null."""
        kind, text = node.tag.removeprefix(TAG), str(node.value)
        if kind == "timestamp":
            _refuse(node, f"{text} is a date to YAML; write it in quotes")
        if kind not in SCALARS or not isinstance(node, yaml.ScalarNode):
            _refuse(node, f"{node.tag.replace(TAG, '!!')}: is not read here; write plain values")
        if kind == "str":
            if not all(one.isprintable() or one in "\t\n" for one in text):
                _refuse(node, f"{text!r}: has characters that cannot be printed")
            return text
        if len(text) > LONGEST_NUMBER:
            _refuse(node, f"{text}: has more than {LONGEST_NUMBER} characters")
        try:
            value = self.constructor.construct_object(node)
        except (ArithmeticError, LookupError, ValueError) as error:
            raise Refused(node.start_mark.line + 1, f"{text!r} is no {kind}") from error
        if kind == "float" and not math.isfinite(value):
            _refuse(node, f"{text}: must be a finite number")
        if kind == "int" and not -(2**63) <= value < 2**63:
            _refuse(node, f"{text}: must be a number of at most 64 bits")
        return value
