"""`parameters` of a sweep file, held against the configuration that they are to fill."""

import dataclasses
import itertools
import re
from collections.abc import Iterator
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from genbench import UserError
from genbench.config import Config, roles
from genbench.sweep.distributions import extremes, refuse_unknown, to_distribution
from genbench.sweep.lines import Sheet

DRAWS = 100  # points of the space that are tried against the configuration
MOST_REFUSED = 20_000  # combinations; after so many no further value is looked at


def read_parameters(
    sheet: Sheet, kind: type[Config], grid: bool, flags: dict[str, Any]
) -> tuple[dict[str, BaseDistribution], dict[str, Any], tuple[int, ...]]:
    """What to vary, what to hold, and the seeds, each value one that the program takes."""
    space, fixed = {}, {}
    seeds: tuple[int, ...] = ()
    fields = {f.name: f.type for f in dataclasses.fields(kind)}
    for name, entry in sheet.content["parameters"].items():
        with sheet.noting("parameters", name):
            if name == "amp":
                raise UserError("amp: is precision now; write precision: {value: bf16}, or fp32")
            refuse_unknown({name: 0}, fields, "parameter")
            use = roles(kind)[name].sweep
            if name == "seed":
                seeds = _seeds(entry, kind)
                continue
            if use in ("flag", "own"):
                raise UserError(f"{name}: is set on the command line, --{name}; delete it here")
            if name in flags:
                raise UserError(f"{name}: the command has --{name} too; delete one")
            try:
                value = to_distribution(entry, grid)
            except UserError as error:
                raise UserError(f"{name}: {error}") from error
            if not isinstance(value, BaseDistribution):
                fixed[name] = kind.check(name, value)
            elif use == "fix":
                raise UserError(f"{name}: changes what the metric means; fix it with value:")
            else:
                _plausible(name, entry, value, getattr(kind(), name))
                for extreme in extremes(value):
                    kind.check(name, extreme)
                space[name] = value
    if not space and not sheet.problems:
        sheet.problem(("parameters",), "parameters: all are fixed, nothing to search")
    return space, fixed, seeds


def _seeds(entry: Any, kind: type[Config]) -> tuple[int, ...]:
    """The seeds over which every point of the space is repeated."""
    try:
        drawn = to_distribution(entry)
    except UserError as error:
        raise UserError(f"seed: {error}") from error
    if isinstance(drawn, BaseDistribution) and not isinstance(drawn, CategoricalDistribution):
        raise UserError("seed: write values: [0, 1, 2], over which every point is repeated")
    values = drawn.choices if isinstance(drawn, CategoricalDistribution) else [drawn]
    return tuple(kind.check("seed", value) for value in values)


def _plausible(name: str, entry: dict[str, Any], drawn: BaseDistribution, default: Any) -> None:
    """Refuse numbers that are surely not meant: fractions of whole ones, exponents for values."""
    kind = str(entry.get("distribution", ""))
    if isinstance(drawn, CategoricalDistribution) or isinstance(default, str):
        return
    low, high = extremes(drawn)
    if kind in ("log_uniform", "q_log_uniform") and entry["min"] > 0:
        meant = entry["max"] < 1 or (entry["min"] <= default <= entry["max"] and default < low)
        if meant:
            raise UserError(
                f"{name}: {kind} takes exponents, so it draws {low:.4g} to {high:.4g}; "
                f"write {kind}_values for values"
            )
    if type(default) is int and not isinstance(drawn, IntDistribution):
        raise UserError(
            f"{name}: draws fractions and the program takes whole numbers; "
            "write int_uniform, or a distribution with q: 1"
        )


def refuse_contradictions(
    sheet: Sheet, kind: type[Config], space: dict[str, BaseDistribution], held: dict[str, Any]
) -> None:
    """Note the values that go with none of 100 draws, and with no combination of the ends."""
    points = [held | point for point in itertools.chain(_draws(space), corners(space))]
    if all(_refusal(kind, point) for point in points):
        reason = _refusal(kind, points[0])
        field = re.split(r"\W", reason)[0]  # an error begins with its field's name
        sheet.problem(("parameters", field), reason)
        return
    left = MOST_REFUSED
    for name, value in ((name, value) for name, d in space.items() for value in extremes(d)):
        refusals = [*itertools.takewhile(bool, (_refusal(kind, p | {name: value}) for p in points))]
        if len(refusals) == len(points):
            sheet.problem(("parameters", name), refusals[0])
        left -= len(refusals)
        if left < 0:
            return


def contradictions(
    kind: type[Config], space: dict[str, BaseDistribution], held: dict[str, Any]
) -> tuple[int, str]:
    """How many of 100 draws the program refuses, since two values contradict each other; a reason.

    Such a trial fails, and the search goes on.
    """
    reasons = [_refusal(kind, held | point) for point in _draws(space)]
    refused = [reason for reason in reasons if reason]
    return len(refused), refused[0] if refused else ""


def corners(space: dict[str, BaseDistribution]) -> Iterator[dict[str, Any]]:
    """The combinations of all choices and ends of the space, the first 10,000 of them."""
    ends = itertools.product(*(extremes(distribution) for distribution in space.values()))
    for values in itertools.islice(ends, 10_000):
        yield dict(zip(space, values, strict=True))


def _draws(space: dict[str, BaseDistribution]) -> list[dict[str, Any]]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [study.ask(space).params for _ in range(DRAWS)]


def _refusal(kind: type[Config], values: dict[str, Any]) -> str:
    """Why the configuration cannot be; empty: it can."""
    try:
        kind(**values)
    except UserError as error:
        return str(error)
    return ""
