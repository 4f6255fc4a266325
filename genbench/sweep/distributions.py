"""A parameter of a W&B sweep file as the Optuna distribution of the same meaning.

W&B's distributions: https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

import difflib
import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from genbench import UserError

LARGEST_GRID = 10_000  # points
LARGEST = 1e300  # multiple of a q that is shown: NumPy's powers overflow near the largest float
SHOWN = 8  # values that are offered in place of a distribution
PARAMETER_KEYS = {
    *("value", "values", "distribution", "min", "max", "q", "mu", "sigma", "a", "b"),
    *("probabilities", "parameters"),
}
# Not Optuna's to draw: it has no normal or beta distribution and no rounded logarithmic floats.
FOREIGN = {
    *("normal", "q_normal", "log_normal", "q_log_normal", "beta", "q_beta"),
    "categorical_w_probabilities",
}


def refuse_unknown(mapping: Any, allowed: Iterable[str], what: str) -> None:
    """Refuse keys that are not allowed, with the nearest that is."""
    if not isinstance(mapping, dict):
        raise UserError(f"{what}s: must be a mapping")
    allowed = list(allowed)
    for key in mapping:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(allowed))}"
            raise UserError(f"unknown {what} {key!r}; {hint}")


def extremes(distribution: BaseDistribution) -> list[Any]:
    """All choices, or the least and the largest number."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]


def holds(distribution: BaseDistribution, value: Any) -> bool:
    """Whether the distribution can draw this value."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    steps = (value - distribution.low) / (distribution.step or 1)
    on_grid = distribution.step is None or math.isclose(steps, round(steps), abs_tol=1e-9)
    return distribution.low <= value <= distribution.high and on_grid


def to_distribution(entry: Any, grid: bool = False) -> Any:
    """A W&B parameter as the Optuna distribution with the same support.

    The density is the same too, but for the ends of rounded ones: W&B draws them half as often.

    Args:
        entry: The mapping under a parameter's name.
        grid: As the choices that W&B's grid search has of it.

    Returns:
        A `BaseDistribution`; for `value:` (a constant) the value itself.

    Raises:
        UserError: W&B does not know it, or Optuna cannot express it.
    """
    refuse_unknown(entry, PARAMETER_KEYS, "key")
    if "parameters" in entry:
        raise UserError("nested parameters are not supported; write flat names")
    kind = entry.get("distribution") or _default_distribution(entry)
    if kind == "constant":
        _only(entry, kind)
        return _scalar(entry, "value")
    if "probabilities" in entry or (isinstance(kind, str) and kind in FOREIGN):
        kind = "categorical_w_probabilities" if "probabilities" in entry else kind
        raise UserError(f"distribution {kind} is W&B's alone, Optuna cannot draw from it")
    _only(entry, kind)
    if kind == "categorical":
        values = entry.get("values")
        if not isinstance(values, list) or not values:
            raise UserError("values: must be a list with at least one value")
        if any(isinstance(value, list | dict) for value in values):
            raise UserError("values: must be scalars")
        return CategoricalDistribution(
            list(dict.fromkeys(_not_text_number(value) for value in values))
        )
    if not isinstance(kind, str) or kind not in NUMERIC:
        raise UserError(f"unknown distribution {kind!r}; known: {', '.join(NUMERIC)}")
    low, high = _number(entry, "min"), _number(entry, "max")
    if not low < high:
        raise UserError(f"min {low} must be below max {high}")
    q = _number(entry, "q") if "q" in entry else 1
    if q <= 0:
        raise UserError(f"q {q} must be above 0")
    if grid:
        return _grid(kind, low, high, q)
    try:
        return NUMERIC[kind](low, high, q)
    except (ArithmeticError, ValueError) as error:
        raise UserError(f"{kind} with min {low}, max {high}, q {q}: {error}") from error


def _only(entry: dict[str, Any], kind: Any) -> None:
    """Refuse a key that W&B does not know of this distribution."""
    numbers = {"min", "max", "q"} if str(kind).startswith("q_") else {"min", "max"}
    named = {"categorical": {"values"}, "constant": {"value"}}
    allowed = {"distribution"} | named.get(str(kind), numbers)
    for key in entry:
        if key not in allowed:
            hint = f"write distribution: q_{kind}" if key == "q" else "delete one of the two"
            raise UserError(f"{key}: does not go with {kind}; {hint}")


def _grid(kind: str, low: float, high: float, q: float) -> BaseDistribution:
    """The values that W&B's grid search enumerates: of q_uniform without the end (`arange`)."""
    if (high - low) / q >= LARGEST_GRID:
        raise UserError(f"more than {LARGEST_GRID:,} values for a grid; write random or bayes")
    if kind == "int_uniform":
        whole = _int_uniform(low, high, q)
        assert isinstance(whole, IntDistribution)
        return CategoricalDistribution(list(range(whole.low, whole.high + 1)))
    if kind == "q_uniform":
        return CategoricalDistribution(np.arange(low, high, q).tolist())
    raise UserError(f"{kind} has no grid; write values, int_uniform or q_uniform")


def _default_distribution(entry: dict[str, Any]) -> str:
    """What W&B takes a parameter for that names no distribution."""
    if "value" in entry:
        return "constant"
    if "values" in entry:
        return "categorical"
    if "min" in entry and "max" in entry:
        both_int = type(entry["min"]) is int and type(entry["max"]) is int
        return "int_uniform" if both_int else "uniform"
    raise UserError("needs value, values, or min and max")


def _scalar(entry: dict[str, Any], key: str) -> Any:
    if key not in entry:  # not `entry.get`: 0 and false are values
        raise UserError(f"needs {key}")
    if isinstance(entry[key], list | dict):
        raise UserError(f"{key}: must be a scalar")
    return _not_text_number(entry[key])


def _not_text_number(value: Any) -> Any:
    """`value`, unless it is a number that YAML took for text, as it does 1e-4."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        written = np.format_float_positional(number, trim="-")
        raise UserError(f"{value!r} is text to YAML; write {written}")
    return value


def _number(entry: dict[str, Any], key: str) -> float:
    value = _scalar(entry, key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{key}: must be a finite number, not {value!r}")
    return value


def _uniform(low: float, high: float, q: float) -> BaseDistribution:
    return FloatDistribution(float(low), float(high))


def _int_uniform(low: float, high: float, q: float) -> BaseDistribution:
    if int(low) != low or int(high) != high:
        raise UserError(f"int_uniform needs whole min and max, not {low} and {high}")
    return IntDistribution(int(low), int(high))


def _q_uniform(low: float, high: float, q: float) -> BaseDistribution:
    """W&B draws round(X / q) * q, X uniform: the multiples of q nearest to min and max and all
    between them; whole numbers if q is."""
    first, last = round(low / q), round(high / q)
    if first == last:
        raise UserError(f"q {q} leaves one value between min {low} and max {high}")
    if isinstance(q, int):
        return IntDistribution(first * q, last * q, step=q)
    step = Decimal(repr(q))  # 3 * 0.1 must be the 0.3 that both tools print
    least, most = float(first * step), float(last * step)
    if (Decimal(repr(least)), Decimal(repr(most))) != (first * step, last * step):
        raise UserError(f"q {q} is too fine for min {low} and max {high}")
    return FloatDistribution(least, most, step=q)


def _log_uniform_values(low: float, high: float, q: float) -> BaseDistribution:
    if low <= 0:
        raise UserError(f"min {low} must be above 0 on a logarithmic scale")
    return FloatDistribution(float(low), float(high), log=True)


def _log_uniform(low: float, high: float, q: float) -> BaseDistribution:
    return _log_uniform_values(math.exp(low), math.exp(high), q)


def _inv_log_uniform(low: float, high: float, q: float) -> BaseDistribution:
    return _log_uniform_values(math.exp(-high), math.exp(-low), q)


def _q_log_uniform_values(low: float, high: float, q: float) -> BaseDistribution:
    if type(q) is int and q == 1 and round(low) >= 1:
        return IntDistribution(round(low), round(high), log=True)
    if low <= 0:
        raise UserError(f"min {low} must be above 0 on a logarithmic scale")
    raise UserError(
        "q_log_uniform is Optuna's only for q: 1 and min at least 1 (whole numbers); "
        f"write values: {log_multiples(low, high, q)}"
    )


def log_multiples(low: float, high: float, q: float) -> list[int | float]:
    """A few multiples of q from low to high, about evenly on a logarithmic scale."""
    first, last = (float(round(min(max(1.0, end / q), LARGEST))) for end in (low, high))
    spaced = np.geomspace(first, max(first, last), SHOWN).tolist()
    steps = sorted({round(step) for step in spaced})
    return [step * q if isinstance(q, int) else float(step * Decimal(repr(q))) for step in steps]


def _q_log_uniform(low: float, high: float, q: float) -> BaseDistribution:
    return _q_log_uniform_values(math.exp(low), math.exp(high), q)


# By W&B's name; those without `_values` take natural exponents for min and max. The inverse of a
# log-uniform number is log-uniform itself, so inv_log_uniform_values is log_uniform_values.
NUMERIC: dict[str, Callable[[float, float, float], BaseDistribution]] = {
    "uniform": _uniform,
    "int_uniform": _int_uniform,
    "q_uniform": _q_uniform,
    "log_uniform": _log_uniform,
    "log_uniform_values": _log_uniform_values,
    "inv_log_uniform": _inv_log_uniform,
    "inv_log_uniform_values": _log_uniform_values,
    "q_log_uniform": _q_log_uniform,
    "q_log_uniform_values": _q_log_uniform_values,
}
