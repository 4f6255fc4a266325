"""`metric` of a sweep file: a validation scalar that the program logs after every epoch."""

import re
from typing import Any

from optuna.distributions import BaseDistribution

from genbench import UserError
from genbench.config import AEConfig, Config, GANConfig
from genbench.sweep.distributions import known
from genbench.sweep.lines import Sheet

# What `val/` has after every epoch; the distances' names end in the number of pictures.
_CODES = frozenset({"bce", "loss", "mse", "psnr", "reconstruction"})
SCALARS = {
    "ae": _CODES,
    "vae": _CODES | {"elbo", "kl"},
    "gan": frozenset(
        {"loss_d", "loss_g", "d_real", "d_fake", "logit_real", "logit_fake", "r_t", "js_bound"}
        | {"accuracy", "accuracy_train", "accuracy_ratio", "spread", "nearest", "histogram_kl"}
    ),
}
DISTANCES = ("kid_lite0_n", "fd_lite0_n")
LARGE = {"elbo", "psnr"}  # the larger the better
SMALL = {"bce", "mse", "reconstruction", "histogram_kl", *DISTANCES}  # and the smaller
FOLDERS = ("folder", "abstract-art", "propaganda-debian")  # how many pictures is not known here


def read_metric(
    sheet: Sheet, kind: type[Config], space: dict[str, BaseDistribution], held: dict[str, Any]
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
        known(metric, ("name", "goal", "target"), "key")
    goal, target = metric.get("goal", "minimize"), metric.get("target")
    if goal not in ("minimize", "maximize"):
        sheet.problem(("metric", "goal"), f"metric: goal: {goal}; write minimize or maximize")
    if isinstance(target, bool) or not isinstance(target, int | float | None):
        sheet.problem(("metric", "target"), f"metric: target: {target} must be a number")
    with sheet.noting("metric", "name"):
        _logged(kind, metric["name"], space, held)
        with sheet.noting("metric", "goal"):
            _right_way(metric["name"], goal)
    return metric


def _right_way(name: str, goal: str) -> None:
    """Refuse a goal that looks for the worst; W&B's, where none is given, is minimize."""
    stem = re.sub(r"\d+$", "", name.removeprefix("val/"))
    better = "maximize" if stem in LARGE else "minimize" if stem in SMALL else goal
    if goal in ("minimize", "maximize") and goal != better:
        raise UserError(f"metric: {goal} looks for the worst {name}; write goal: {better}")


def _logged(
    kind: type[Config], name: str, space: dict[str, BaseDistribution], held: dict[str, Any]
) -> None:
    """Refuse a metric that the program never logs, or that does not mean the same in all trials."""
    scalar = name.removeprefix("val/")
    searched = {"beta", "free_bits", "importance_samples"} & set(space)
    if scalar == "loss" and searched:
        raise UserError(
            f"metric: val/loss changes its meaning with {', '.join(sorted(searched))}; use val/elbo"
        )
    if scalar in SCALARS[kind.model]:
        return
    stem = re.sub(r"\d+$", "", scalar)
    if stem not in DISTANCES or kind is AEConfig:
        logged = sorted(SCALARS[kind.model] | set(DISTANCES if kind is not AEConfig else ()))
        raise UserError(f"metric: {name} is never logged; known: {', '.join(logged)}")
    if not held.get("eval_every", kind().eval_every):
        raise UserError(f"metric: {name} is not logged with eval_every 0; fix it with value: 1")
    for part in {"eval_images", "held_out"} & set(space):
        raise UserError(f"{part}: is part of the metric's name; fix it with value:")
    if "eval_every" in space:
        raise UserError("eval_every: must be the same in all trials; fix it with value: 1")
    data = held.get("data", kind().data)
    n = held.get("eval_images", kind().eval_images)
    if data == "synthetic-art":
        n = min(n, held.get("held_out", GANConfig().held_out))
    if scalar != f"{stem}{n}" and data not in FOLDERS:
        raise UserError(f"metric: {name} is never logged; of {data} it is val/{stem}{n}")
