"""What the fields of a configuration may hold, and what others may do with them."""

import dataclasses
import functools
import math
import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from genbench import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """The values that a numeric field may take: low (or above it) to high."""

    low: float
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        lower = f"{'above' if self.above else 'at least'} {self.low:.10g}"
        return lower if math.isinf(self.high) else f"{lower} and at most {self.high:.10g}"


Positive = Range(0, above=True)
Count = Annotated[int, Range(1)]
Seed = Annotated[int, Range(0, 2**31 - 1)]
FOLDER = "folder"  # marks a path: `~` is expanded, empty is refused


def words(text: str) -> list[str]:
    """What a field holds by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def chosen(field: str, text: str, known: Mapping[str, T]) -> dict[str, T]:
    """What a field names by commas, in the order in which it is known; all where it names none.

    Raises:
        UserError: Nothing is called so.
    """
    names = words(text)
    for name in names:
        if name not in known:
            raise UserError(f"{field}={name!r}: unknown; any of {', '.join(known)}")
    return {name: one for name, one in known.items() if name in names or not names}


@dataclass(frozen=True)
class Role:
    """What other parts of genbench may do with a field; it stands in the field's `Annotated`.

    key: It changes the weights and is no repetition, so that it tells experiments apart
        (`Config.key`).
    shown: Tables of hyper-parameters have it.
    sweep: A sweep file may `search` it, or only `fix` it; others its parameters may not name: a
        `flag` of its command may set them, or it is the search's `own` alone.
    compare: Scores of runs that differ in it are of unlike kinds, and share no table.
    """

    key: bool = True
    shown: bool = True
    sweep: Literal["search", "fix", "flag", "own"] = "search"
    compare: bool = False


HYPER_PARAMETER = Role()  # of a field that says nothing else
RUNTIME = Role(key=False, shown=False, sweep="flag")  # where and how a run is kept
PLACE = Role(key=False, shown=False, sweep="fix")  # where the data lie
LOGGING = Role(key=False, shown=False)
REPETITION = Role(key=False, shown=False, sweep="own")  # the seed
SEARCHS_OWN = Role(key=False, shown=False, sweep="own")
FIXED = Role(sweep="fix")
PICTURES = Role(compare=True)  # which pictures there are, and how they are cut
MEANING = Role(sweep="fix", compare=True)  # what the data and the losses are


@dataclass(frozen=True)
class Checked:
    """A frozen dataclass whose fields are held to their annotations when it is made."""

    def __post_init__(self) -> None:
        """Raise `UserError` for a field of a wrong type, choice or range."""
        for field in dataclasses.fields(self):
            value = self.check(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)

    @classmethod
    def check(cls, name: str, value: Any) -> Any:
        """`value` as the field `name` holds it, or a `UserError` if it alone is wrong."""
        hints = _hints(cls)  # type: ignore[arg-type]  # mypy takes the class for an instance
        return _checked(name, hints[name], value)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _checked(name: str, hint: Any, value: Any) -> Any:
    """`value` if it fits the annotation (an int becomes a float where one is wanted)."""
    limits: list[Any] = []
    if typing.get_origin(hint) is Annotated:
        hint, *limits = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise UserError(f"{name}={value!r}: choose one of {', '.join(choices)}")
        return value
    if hint is float and type(value) in (int, float):
        value = float(value) + 0.0  # which is not -0.0
    if type(value) is not hint:
        raise UserError(f"{name}={value!r}: must be {hint.__name__}, not {type(value).__name__}")
    if hint is float and not math.isfinite(value):
        raise UserError(f"{name}={value}: must be finite")
    for limit in limits:
        if isinstance(limit, Role):
            continue
        if limit == FOLDER and value:
            value = os.path.expanduser(value)  # as it is where there is no such user
        elif limit == FOLDER:
            raise UserError(f"{name}: is empty; name a folder")
        elif value not in limit:
            raise UserError(f"{name}={value}: must be {limit}")
    return value


def roles(kind: type) -> dict[str, Role]:
    """The role of each field of a configuration."""
    by_name = {}
    for field in dataclasses.fields(kind):
        marks = getattr(_hints(kind)[field.name], "__metadata__", ())
        stated = [mark for mark in marks if isinstance(mark, Role)]
        by_name[field.name] = stated[0] if stated else HYPER_PARAMETER
    return by_name
