"""Parameters of any project's sweep file as the nearest that our own program has."""

import dataclasses
import difflib
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from genbench import UserError
from genbench.config import Config, roles
from genbench.console import first_line
from genbench.sweep.distributions import PARAMETER_KEYS, extremes, log_multiples, to_distribution

LARGEST = 40.0  # an exponent: e^40 is a number of 58 bits
OTHERS = {  # what other projects call our fields
    **dict.fromkeys(("learning_rate", "learningrate", "step_size", "base_lr", "g_lr"), "lr"),
    **dict.fromkeys(("batchsize", "bs", "batch", "train_batch_size"), "batch_size"),
    **dict.fromkeys(("z_dim", "zdim", "nz", "latent", "latent_size", "code_dim"), "latent_dim"),
    **dict.fromkeys(("hidden_dim", "hidden_size", "hidden", "ngf", "channels"), "width"),
    **dict.fromkeys(("num_layers", "n_layers", "layers"), "depth"),
    **dict.fromkeys(("num_epochs", "n_epochs", "max_epochs", "epoch"), "epochs"),
    **dict.fromkeys(("random_seed", "random_state", "manual_seed"), "seed"),
    **dict.fromkeys(("kl_weight", "kld_weight", "kl_coeff"), "beta"),
    **dict.fromkeys(("b1", "adam_beta1"), "beta1"),
    **dict.fromkeys(("b2", "adam_beta2"), "beta2"),
    **dict.fromkeys(("ema_decay",), "ema"),
    **dict.fromkeys(("img_size", "resolution", "imsize"), "image_size"),
    **dict.fromkeys(("dataset",), "data"),
    **dict.fromkeys(("data_path", "dataroot", "root"), "data_dir"),
    **dict.fromkeys(("nonlinearity", "act"), "activation"),
}
WIDTH = 2.0  # standard deviations to both sides, of a normal distribution made uniform


class Notes:
    """Why a key is not as it was, by the key; one that is gone has its reasons too."""

    def __init__(self) -> None:
        self.of: dict[str, list[str]] = {}

    def add(self, key: str, why: str) -> None:
        """Note a reason, once."""
        if why not in self.of.setdefault(key, []):
            self.of[key].append(why)


def _flat(parameters: dict[str, Any], inside: str = "") -> Iterator[tuple[str, Any, str]]:
    """Names without their groups, entries, and why the name is another."""
    for name, entry in parameters.items():
        if isinstance(entry, dict) and isinstance(entry.get("parameters"), dict):
            yield from _flat(entry["parameters"], f"{inside}{name}.")
        else:
            flat = name.rsplit(".", 1)[-1]
            yield flat, entry, "" if flat == f"{inside}{name}" else f"was {inside}{name}"


def read_foreign(given: dict[str, Any], kind: type[Config], grid: bool) -> tuple[Any, Notes]:
    """The parameters that the family has, and why they are not as they were."""
    fields = {field.name: field.type for field in dataclasses.fields(kind)}
    parameters, notes = dict[str, Any](), Notes()
    for name, entry, why in _flat(given):
        field = _field(name, fields)
        if not field or (roles(kind)[field].sweep in ("flag", "own") and field != "seed"):
            gone = "is set on the command line" if field else f"is no parameter of {kind.model}"
            notes.add("", f"{name}: left out; it {gone}")
            continue
        if field in parameters:
            notes.add("", f"{name}: left out; {field} is there already")
            continue
        if why or field != name:
            notes.add(field, why or f"was {name}")
        try:
            parameters[field] = _entry(field, entry, kind, grid, notes)
        except (UserError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            notes.of.pop(field, None)
            notes.add("", f"{name}: left out; {first_line(error)}")
    return parameters, notes


def _field(name: str, fields: dict[str, Any]) -> str:
    """The field that is meant; empty: none."""
    plain = name.lower().replace("-", "_")
    if plain in fields:
        return plain
    near = difflib.get_close_matches(plain, fields, 1, cutoff=0.85)
    return OTHERS.get(plain, near[0] if near else "")


def _entry(name: str, entry: Any, kind: type[Config], grid: bool, notes: Notes) -> dict[str, Any]:
    """The entry as all tools read it.

    Raises:
        UserError: There is none that is near.
    """
    entry = _numbers(entry if isinstance(entry, dict) else {"value": entry}, name, notes)
    for key in sorted(set(entry) - PARAMETER_KEYS):
        notes.add(name, f"{key} is no key of W&B's")
        del entry[key]
    entry = _drawable(name, entry, notes)
    if isinstance(entry.get("values"), list):
        entry["values"] = _that_can_be(name, entry["values"], kind, notes)
    drawn = to_distribution(entry, grid=False)
    default = getattr(kind(), name)
    if isinstance(drawn, BaseDistribution):
        _numeric(name, entry, drawn, default, notes)
        drawn = to_distribution(entry, grid=False)
        for extreme in extremes(drawn):
            kind.check(name, extreme)
        if grid and not isinstance(drawn, CategoricalDistribution):
            entry = _spread(name, drawn, default, notes)
        if roles(kind)[name].sweep == "fix":
            notes.add(name, "changes what the metric means, so it cannot be searched")
            entry = {"value": extremes(to_distribution(entry))[0]}
    else:
        entry = {"value": kind.check(name, drawn)}
    return entry


def _numbers(value: Any, name: str, notes: Notes) -> Any:
    """Text that is meant for a number, as YAML takes 1e-4, as the number."""
    if isinstance(value, dict):
        return {key: _numbers(inner, name, notes) for key, inner in value.items()}
    if isinstance(value, list):
        return [_numbers(inner, name, notes) for inner in value]
    if isinstance(value, str) and re.fullmatch(r"[-+]?[\d.]+[eE][-+]?\d+", value):
        notes.add(name, f"{value} is text to YAML")
        return float(value)
    return value


def _drawable(name: str, entry: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """The entry without a distribution that Optuna has not."""
    kind = str(entry.get("distribution", ""))
    if "probabilities" in entry:
        notes.add(name, "probabilities are W&B's alone: all values are drawn alike")
        return {"values": entry.get("values")}
    if kind.endswith("normal"):
        mu, sigma = float(entry.get("mu", 0)), float(entry.get("sigma", 1))
        notes.add(name, f"{kind} is W&B's alone: drawn within {WIDTH:g} standard deviations")
        low, high = mu - WIDTH * sigma, mu + WIDTH * sigma
        if "log" in kind:
            ends = {"min": math.exp(low), "max": math.exp(high)}
            return {"distribution": "log_uniform_values"} | ends
        rounded = {"q": entry["q"]} if "q" in entry else {}
        uniform = f"{'q_' if rounded else ''}uniform"
        return {"distribution": uniform, "min": low, "max": high} | rounded
    if kind.endswith("beta"):
        notes.add(name, f"{kind} is W&B's alone: drawn evenly")
        return {"distribution": "uniform", "min": 0.0, "max": 1.0}
    if kind.startswith("q_log_uniform") and entry.get("q", 1) != 1:
        low, high = float(entry["min"]), float(entry["max"])
        if kind == "q_log_uniform" and high <= LARGEST:
            low, high = math.exp(low), math.exp(high)
        elif kind == "q_log_uniform":
            notes.add(name, "q_log_uniform takes exponents of e; these are taken for values")
        notes.add(name, f"{kind} with q: {entry['q']} is W&B's alone")
        return {"values": log_multiples(low, high, entry["q"])}
    return dict(entry)


def _that_can_be(name: str, values: list[Any], kind: type[Config], notes: Notes) -> list[Any]:
    """The values that the program takes."""
    fine, reason = [], ""
    for value in values:
        try:
            fine.append(kind.check(name, value))
        except UserError as error:
            reason = str(error)
    if not fine:
        raise UserError(reason or "it has no values")
    if reason:
        notes.add(name, reason)
    return fine


def _numeric(
    name: str, entry: dict[str, Any], drawn: BaseDistribution, default: Any, notes: Notes
) -> None:
    """Exponents that were meant as values, and fractions of what is whole, put right in place."""
    if isinstance(drawn, CategoricalDistribution):
        return
    kind, (low, high) = str(entry.get("distribution", "")), extremes(drawn)
    if kind in ("log_uniform", "q_log_uniform") and entry["min"] > 0:
        notes.add(name, f"{kind} takes exponents, so it drew {low:.4g} to {high:.4g}")
        entry["distribution"] = f"{kind}_values"
    if type(default) is int and not isinstance(drawn, IntDistribution):
        if not all(type(entry[end]) is int for end in ("min", "max")) or kind:
            notes.add(name, "the program takes whole numbers")
        whole = {"min": math.ceil(entry["min"]), "max": math.floor(entry["max"])}
        entry.pop("q", None)
        if "log" in kind:
            entry.update(distribution="q_log_uniform_values", q=1, **whole)
        else:
            entry.pop("distribution", None)
            entry.update(whole)


def _spread(name: str, drawn: BaseDistribution, default: Any, notes: Notes) -> dict[str, Any]:
    """A few values of a range, for a grid."""
    low, high = extremes(drawn)
    space = np.geomspace if getattr(drawn, "log", False) else np.linspace
    numbers = [float(f"{value:.3g}") for value in space(low, high, 5)]
    if type(default) is int:
        numbers = sorted({round(number) for number in numbers})
    notes.add(name, "a range has no grid")
    return {"values": numbers}
