"""`metric` of a sweep file: a validation scalar that the program logs after every epoch."""

from typing import Any

from optuna.distributions import BaseDistribution

from genbench import UserError
from genbench.config import PAINTED
from genbench.families import Family
from genbench.metrics import METRICS, ScoreName
from genbench.scalars import Scalar
from genbench.sweep.distributions import refuse_unknown
from genbench.sweep.lines import Sheet

FOLDERS = ("folder", "abstract-art", "propaganda-debian")  # how many pictures is not known here
WHILE_TRAINING = "lite0"  # whose features the scores while training are of


def read_metric(
    sheet: Sheet, family: Family, space: dict[str, BaseDistribution], held: dict[str, Any]
) -> dict[str, Any]:
    """The metric, if the program logs it after every epoch."""
    metric = sheet.content.get("metric")
    if not isinstance(metric, dict) or not str(metric.get("name")).startswith("val/"):
        sheet.problem(
            ("metric", "name"),
            "metric: needs a name that starts with val/ (the search sees no test data)",
        )
        return {}
    with sheet.noting("metric"):
        refuse_unknown(metric, ("name", "goal", "target"), "key")
    goal, target = metric.get("goal", "minimize"), metric.get("target")
    if goal not in ("minimize", "maximize"):
        sheet.problem(("metric", "goal"), f"metric: goal: {goal}; write minimize or maximize")
    if isinstance(target, bool) or not isinstance(target, int | float | None):
        sheet.problem(("metric", "target"), f"metric: target: {target} must be a number")
    name = ScoreName.parse(metric["name"])
    with sheet.noting("metric", "name"):
        scalar = _scalar(family, name)
        _same_meaning(name, scalar, space)
        if name.is_sample_score:
            _of_samples(family, name, space, held)
        with sheet.noting("metric", "goal"):
            _right_way(name, scalar, goal)
    return metric


def _scalar(family: Family, name: ScoreName) -> Scalar:
    """What is logged under this name.

    Raises:
        UserError: Nothing is.
    """
    of_samples = [m.name for m in METRICS.values() if m.while_training]
    of_samples = of_samples if "generate" in family.can else []
    if name.is_sample_score:
        if name.metric in of_samples and name.extractor == WHILE_TRAINING and not name.floor:
            return METRICS[name.metric]
    elif name.metric in family.scalars:
        return family.scalars[name.metric]
    n = family.config().eval_images
    logged = [*family.scalars, *(f"{metric}_{WHILE_TRAINING}_n{n}" for metric in of_samples)]
    known = ", ".join(f"val/{metric}" for metric in sorted(logged))
    raise UserError(f"metric: {name} is never logged; write one of {known}")


def _same_meaning(name: ScoreName, scalar: Scalar, space: dict[str, BaseDistribution]) -> None:
    """Refuse a scalar whose meaning depends on what is searched."""
    if searched := set(scalar.depends) & set(space):
        raise UserError(
            f"metric: {name} changes its meaning with {', '.join(sorted(searched))}; "
            "choose another, or fix them with value:"
        )


def _right_way(name: ScoreName, scalar: Scalar, goal: str) -> None:
    """Refuse a goal that looks for the worst; W&B's, where none is given, is minimize."""
    better = scalar.better or goal
    if goal in ("minimize", "maximize") and goal != better:
        raise UserError(f"metric: {goal} looks for the worst {name}; write goal: {better}")


def _of_samples(
    family: Family, name: ScoreName, space: dict[str, BaseDistribution], held: dict[str, Any]
) -> None:
    """Refuse a score of samples that is not logged at this N, or not in all trials."""
    defaults = family.config()
    if not held.get("eval_every", defaults.eval_every):
        raise UserError(f"metric: {name} is not logged with eval_every 0; fix it with value: 1")
    for part in {"eval_images", "held_out"} & set(space):
        raise UserError(f"{part}: is part of the metric's name; fix it with value:")
    if "eval_every" in space:
        raise UserError("eval_every: must be the same in all trials; fix it with value: 1")
    data = held.get("data", defaults.data)
    n = held.get("eval_images", defaults.eval_images)
    if data == "synthetic-art":
        n = min(n, held.get("held_out") or PAINTED)
    if name.n != n and data not in FOLDERS:
        there = ScoreName(name.metric, "val", extractor=name.extractor, n=n)
        raise UserError(f"metric: {name} is never logged; of {data} it is {there}")
