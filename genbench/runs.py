"""Run records as a table for people and programs: columns, conditions, order. No torch."""

import difflib
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from genbench import UserError
from genbench.config import Config, roles
from genbench.families import FAMILIES
from genbench.metrics.names import ScoreName
from genbench.record import Record, is_running, read_runs
from genbench.scalars import MEASURED, Scalar

Value = str | float | int | bool | None  # of a run, by a name; None: it has none
OWN = ("run", "status", "model", "epochs", "seconds", "score", "objective", "created", "commit")
CONDITION = re.compile(r"\s*([\w./-]+?)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*", re.ASCII)


def scalar_of(model: str, name: str) -> Scalar:
    """How a scalar of a family is written; `name` as in a record, with or without its split."""
    parsed = ScoreName.parse(name)
    if parsed.is_sample_score:
        return parsed.scalar
    known = MEASURED | dict(FAMILIES[model].scalars if model in FAMILIES else {})
    return known.get(parsed.metric, parsed.scalar)


def facts(record: Record) -> dict[str, Value]:
    """What a run is and how far it came (`OWN`): `score` is the objective at its best epoch."""
    objective = record.about.get("objective", "")
    running = record.status == "unfinished" and is_running(record.path)
    return {
        "run": record.path.name,
        "status": "running" if running else record.status,
        "model": record.model,
        "epochs": math.ceil(record.epochs_done),  # done, not asked for
        "seconds": record.summary.get("seconds"),
        "score": record.scores.get(objective),
        "objective": objective,
        "created": record.about.get("created", ""),
        "commit": record.about.get("commit"),
    }


class Row:
    """A run by the names of its facts, its configuration's fields and its scores, in this order."""

    def __init__(self, record: Record):
        self.record, self.facts = record, facts(record)

    def __getitem__(self, name: str) -> Value:
        for values in (self.facts, self.record.config, self.record.scores):
            if name in values:
                value: Value = values[name]
                return value
        return None

    @property
    def names(self) -> set[str]:
        """All that it has."""
        return {*self.facts, *self.record.config, *self.record.scores}


def chosen(rows: Sequence[Row], model: str = "", where: str = "") -> list[Row]:
    """The rows of a model that meet all conditions: `status=finished,lr>=0.001`.

    A condition is a name, one of = != < <= > >= ~ (contains), and a value; commas are between them.

    Raises:
        UserError: No run has such a name, or it is no condition.
    """
    rows = [row for row in rows if model in ("", row.record.model)]
    for text in filter(None, where.split(",")):
        match = CONDITION.fullmatch(text)
        if not match:
            raise UserError(f"where={text!r}: no condition; write name=value, or one of != < > ~")
        name, sign, value = match.groups()
        known(rows, name, "where")
        rows = [row for row in rows if _holds(row[name], sign, value)]
    return rows


def ordered(rows: Sequence[Row], by: str) -> list[Row]:
    """The rows by a name, the best score or the smallest value first; `-name` the other way.

    Runs that lack it come last.

    Raises:
        UserError: No run has such a name.
    """
    name = by.removeprefix("-")
    known(rows, name, "sort")
    there = [row for row in rows if row[name] not in (None, "")]
    falling = by.startswith("-")
    if name == "score":  # of several objectives each by itself
        there.sort(key=_goodness, reverse=not falling)
        there.sort(key=lambda row: str(row["objective"]))
    else:
        there.sort(key=lambda row: _order(row[name]), reverse=falling)
    return there + [row for row in rows if row[name] in (None, "")]


def best_run(runs_dir: str) -> Record:
    """Of the finished runs with the objective of the newest the best, a tested one if there is any.

    Raises:
        UserError: There is no finished run.
    """
    done = [Row(run) for run in read_runs(runs_dir) if run.status == "finished"]
    if not done:
        raise UserError(f"runs_dir={runs_dir}: no finished run; train one first")
    alike = [row for row in done if row["objective"] == done[-1]["objective"]]
    tested = [row for row in alike if row.record.tested]
    return ordered(tested or alike, "score")[0].record


def known(rows: Sequence[Row], name: str, flag: str) -> None:
    """Raise `UserError` if no run has anything of this name."""
    names = set(OWN).union(*(row.names for row in rows))
    if rows and name not in names:
        near = difflib.get_close_matches(name, names, 3)
        hint = f"; perhaps {', '.join(near)}" if near else f"; any of {', '.join(OWN)}, or a field"
        raise UserError(f"{flag}={name}: no run has it{hint}")


def differing(rows: Sequence[Row]) -> list[str]:
    """The fields in which runs of one model differ, of those that say what was trained."""
    models = {row.record.model for row in rows}
    of_each = [[row for row in rows if row.record.model == model] for model in models]
    found = {name for alike in of_each for name in told(alike)}
    return [name for name in told(rows) if name in found]


def told(rows: Sequence[Row]) -> list[str]:
    """The fields in which runs of any models differ; one that a run lacks is another value."""
    names = dict.fromkeys(name for row in rows for name in row.record.config)
    models = {row.record.model for row in rows}
    shown = [name for name in names if any(_is_told(model, name) for model in models)]
    return [name for name in shown if len({str(row.record.config.get(name)) for row in rows}) > 1]


def _is_told(model: str, name: str) -> bool:
    role = roles(FAMILIES[model].config if model in FAMILIES else Config).get(name)
    return name == "seed" or (name != "epochs" and (role is None or role.key))


def show(value: Value, scalar: Scalar | None = None) -> str:
    """A value in a table: a score with its own digits, other numbers with four that count."""
    if value is None:
        return ""
    if isinstance(value, float) and scalar:
        return scalar.show(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def by_importance(model: str, objective: str) -> Callable[[str], tuple[Any, ...]]:
    """A key that sorts names of scores: what chose the best epoch, then the test's, then others.

    Within a split those come first of which one direction is better, by `METRICS`' order.
    """
    splits = ["test", "val", "train"]

    def key(name: str) -> tuple[Any, ...]:
        parsed = ScoreName.parse(name)
        split = splits.index(parsed.split) if parsed.split in splits else len(splits)
        plain = not parsed.is_sample_score
        return name != objective, split, plain, not scalar_of(model, name).better, name

    return key


def _goodness(row: Row) -> float:
    score = row["score"]
    sign = -1 if row.record.about.get("direction") == "minimize" else 1
    good = sign * score if isinstance(score, int | float) else -math.inf
    return -math.inf if math.isnan(good) else good


def _order(value: Value) -> tuple[bool, float, str]:
    number = float(value) if isinstance(value, int | float) else 0.0
    text = "" if isinstance(value, int | float) else str(value)
    return bool(text), math.inf if math.isnan(number) else number, text


def _holds(value: Value, sign: str, text: str) -> bool:
    """Whether a value stands so to a text: as numbers where both are."""
    if sign == "~":
        return text in str(value)
    left: Any = str(value)
    right: Any = text
    if isinstance(value, bool):
        left, right = left.lower(), right.lower()
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            left, right = float(value), float(text)
        except ValueError:
            return sign == "!="
    elif value is None and sign not in ("=", "!="):
        return False
    return bool(
        {
            "=": left == right,
            "!=": left != right,
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
        }[sign]
    )
