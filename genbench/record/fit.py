"""Whether what was read is of the shape that it should have; what is not is left out."""

import functools
import re
import reprlib
from collections.abc import Callable
from pathlib import PurePosixPath
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

from genbench.record.shapes import Below, Ruler, Settings, Value

SPECIAL = ("NaN", "Infinity", "-Infinity")  # as strict JSON has such numbers
LARGEST = 2**53  # of whole numbers, steps and epochs
LONGEST = 200  # characters of a name
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def is_name(text: str) -> bool:
    """Whether a scalar or a field may be called so."""
    return 0 < len(text) <= LONGEST and not CONTROL.search(text)


def number(value: Any) -> float:
    """A number, or the text that strict JSON has in place of one.

    Raises:
        ValueError: It is none.
    """
    if value in SPECIAL if isinstance(value, str) else type(value) in (int, float):
        try:
            return float(value)
        except OverflowError:
            pass
    raise ValueError(f"{brief(value)} is no number")


def position(value: Any) -> float:
    """A step or an epoch."""
    if not 0 <= number(value) <= LARGEST:
        raise ValueError(f"{brief(value)} is no step or epoch")
    return float(value)


def text(value: Any) -> str:
    """Text that a terminal can show."""
    if not isinstance(value, str) or CONTROL.search(value):
        raise ValueError(f"{brief(value)} is no text")
    return value


def below(value: Any) -> Below:
    """A path that leads out of no folder."""
    path = PurePosixPath(text(value))
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"{brief(value)} is no file of this folder")
    return Below(value)


def _whole(value: Any) -> int:
    if type(value) is not int or abs(value) > LARGEST:
        raise ValueError(f"{brief(value)} is no whole number")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{brief(value)} is neither true nor false")
    return value


def _value(value: Any) -> Any:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            text(item)
        elif type(item) in (int, float):
            number(item)
        elif item is not None and not isinstance(item, bool):
            raise ValueError(f"{brief(value)} is no value of a field")
    return value


CHECKS: dict[Any, Callable[[Any], Any]] = {
    **{str: text, int: _whole, float: number, bool: _flag, Below: below, Value: _value}
}


def fit(value: Any, kind: Any, problems: list[str]) -> Any:
    """`value` as an annotation says; fields of it that are of another kind are left out.

    Args:
        value: What `json.loads` gave.
        kind: One of `genbench.record.shapes`, or an annotation of one of its fields.
        problems: A line is added for each field that is left out.

    Raises:
        ValueError: The value is of another kind, or a field that it must have is.
    """
    origin, inner, fields = _parts(kind)
    if fields:
        return _fit_fields(_mapping(value), kind, problems)
    if origin is dict:
        return _fit_each(_mapping(value), lambda name: inner[1], frozenset(), problems)
    if origin is list:
        return _fit_list(value, inner[0])
    if origin is UnionType:
        return None if value is None else fit(value, inner[0], problems)
    if origin is Literal:
        if value not in inner:
            raise ValueError(f"{brief(value)} is none of {', '.join(inner)}")
        return value
    return value if kind is Any else CHECKS[kind](value)


@functools.cache
def _parts(kind: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """An annotation's kind and what is in its brackets; whether it is an object's."""
    return get_origin(kind), get_args(kind), is_typeddict(kind)


_hints = functools.cache(get_type_hints)  # these two took longer than all else of a record


def _fit_fields(value: dict[str, Any], kind: Any, problems: list[str]) -> dict[str, Any]:
    """An object by its fields; those that are not named are kept as they are."""
    hints, required = _hints(kind), kind.__required_keys__
    if missing := sorted(required - value.keys()):
        raise ValueError(f"lacks {', '.join(missing)}")
    if kind is Ruler and (unknown := sorted(value.keys() - required)):
        raise ValueError(f"{brief(unknown[0])} is no field of it")
    other = Value if kind is Settings else Any
    return _fit_each(value, lambda name: hints.get(name, other), required, problems)


def _fit_each(
    value: dict[str, Any],
    hint: Callable[[str], Any],
    required: frozenset[str],
    problems: list[str],
) -> dict[str, Any]:
    fitted = {}
    for name, item in value.items():
        inside: list[str] = []
        try:
            if not is_name(name):
                raise ValueError("is no name")
            fitted[name] = fit(item, hint(name), inside)
        except ValueError as error:
            if name in required:
                raise ValueError(f"{name}: {error}") from error
            inside = [str(error)]
        problems += [f"{name if is_name(name) else brief(name)}: {problem}" for problem in inside]
    return fitted


def _fit_list(value: Any, kind: Any) -> list[Any]:
    """A list as a whole: without one of its items it would be another."""
    if not isinstance(value, list) or (kind is float and not value):
        raise ValueError(f"{brief(value)} is no list of values")
    problems: list[str] = []
    fitted = [fit(item, kind, problems) for item in value]
    if problems:
        raise ValueError(problems[0])
    return fitted


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{brief(value)} is no object")
    return value


def brief(value: Any) -> str:
    """A value in a message, on one line and short."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 40
    short.maxlevel = 2
    return short.repr(value)
