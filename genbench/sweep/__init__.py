"""W&B sweep files, read as Optuna search spaces: one file, one meaning, two tools."""

import dataclasses
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from genbench import UserError
from genbench.config import AEConfig, Config, GANConfig, VAEConfig
from genbench.sweep.distributions import extremes, holds, known, to_distribution
from genbench.sweep.lines import Sheet, read_sheet

__all__ = ["KINDS", "Sweep", "check_sweep", "holds", "read_sweep"]

KINDS: dict[str, type[Config]] = {kind.model: kind for kind in (AEConfig, VAEConfig, GANConfig)}
TOP_KEYS = {
    *("program", "method", "metric", "parameters", "name", "description", "command"),
    *("early_terminate", "run_cap", "project", "entity"),
}
METHODS = ("bayes", "random", "grid")
# What the search's own flags set, and what would change the meaning of the score.
FROM_FLAGS = Config.RUNTIME - {"data_dir"} | {"seed", "test"}
MEANING = {"likelihood", "binarize", "data", "data_dir", "epochs"}
# Of W&B's agent, without those whose form experiments/*.py do not read.
MACROS = {"env", "interpreter", "program", "args", "args_no_equals"}
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
FOLDERS = ("folder", "abstract-art", "propaganda-debian")  # how many pictures is not known here


@dataclass(frozen=True)
class Stopping:
    """`early_terminate`: which trials are stopped before their last epoch.

    hyperband compares at epochs min_iter * eta^k and keeps the best 1 / eta (successive halving);
    median, which W&B lacks, compares with the median of all at every epoch from min_iter on.
    """

    type: str
    min_iter: int
    eta: int = 2


@dataclass(frozen=True)
class Sweep:
    """A sweep file: what to vary, what to hold, which validation scalar to improve."""

    path: str
    program: str
    command: tuple[str, ...]  # how W&B's agent starts a run; empty: its default
    method: str
    metric: str  # as logged, "val/elbo"
    goal: str  # "minimize" or "maximize"
    target: float | None  # a value of the metric that is good enough
    space: dict[str, BaseDistribution]
    fixed: dict[str, Any]
    stopping: Stopping | None
    run_cap: int | None  # trials at most, over all calls

    @property
    def kind(self) -> type[Config]:
        """The configuration of the model that `program` trains."""
        return KINDS[Path(self.program).stem]


def read_sweep(path: Path, kind: type[Config] | None = None) -> Sweep:
    """Read a sweep file.

    Args:
        path: The file.
        kind: The configuration that it must be of; None: of any model of ours.

    Raises:
        UserError: The file is missing, no YAML, or says what Optuna, W&B or the model cannot do.
    """
    sheet = read_sheet(path)
    sweep = _read(sheet, kind)
    if sweep:
        return sweep
    first, *more = sheet.said()
    rest = f" (and {len(more)} more: genbench sweep check {path})" if more else ""
    raise UserError(first + rest)


def check_sweep(path: Path) -> list[str]:
    """Everything that is wrong with a sweep file, a line each with its line in the file.

    Raises:
        UserError: The file is missing or no YAML.
    """
    sheet = read_sheet(path)
    _read(sheet, None)
    return sheet.said()


def _read(sheet: Sheet, kind: type[Config] | None) -> Sweep | None:
    """The sweep; None if the sheet has problems."""
    content = sheet.content
    if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
        sheet.problem((), "it needs parameters, metric and method, see sweeps/vae.yaml")
        return None
    for key in content:
        with sheet.noting(key):
            known({key: 0}, TOP_KEYS, "key")
    program = content.get("program") or (kind and f"{kind.model}.py")
    model = Path(str(program)).stem
    if model not in KINDS or (kind and model != kind.model):
        wanted = kind.model if kind else " or ".join(KINDS)
        sheet.problem(("program",), f"program: {program} does not train {wanted}")
        return None
    kind = KINDS[model]
    method = content.get("method")
    if method not in METHODS:
        sheet.problem(("method",), f"method: {method} is unknown; write {' or '.join(METHODS)}")
    space, fixed = _parameters(sheet, kind, method == "grid")
    stopping = None
    with sheet.noting("early_terminate"):
        stopping = _stopping(content.get("early_terminate"))
    metric = _metric(sheet, kind, space, fixed)
    cap = content.get("run_cap")
    if cap is not None and (type(cap) is not int or cap < 1):
        sheet.problem(("run_cap",), f"run_cap: {cap} must be a whole number of at least 1")
    with sheet.noting("command"):
        _command(content.get("command"))
    if sheet.problems:
        return None
    return Sweep(
        path=str(sheet.path),
        program=str(program),
        command=tuple(map(str, content.get("command") or ())),
        method=str(method),
        metric=metric["name"],
        goal=metric.get("goal", "minimize"),
        target=metric.get("target"),
        space=space,
        fixed=fixed,
        stopping=stopping,
        run_cap=cap,
    )


def _parameters(
    sheet: Sheet, kind: type[Config], grid: bool
) -> tuple[dict[str, BaseDistribution], dict[str, Any]]:
    """What to vary and what to hold."""
    space, fixed = {}, {}
    fields = {f.name: f.type for f in dataclasses.fields(kind)}
    for name, entry in sheet.content["parameters"].items():
        with sheet.noting("parameters", name):
            known({name: 0}, fields, "parameter")
            if name in FROM_FLAGS:
                raise UserError(f"{name}: is set on the command line, --{name}; delete it here")
            try:
                value = to_distribution(entry, grid)
            except UserError as error:
                raise UserError(f"{name}: {error}") from error
            if not isinstance(value, BaseDistribution):
                fixed[name] = value
            elif name in MEANING:
                raise UserError(f"{name}: changes what the metric means; fix it with value:")
            else:
                _plausible(name, entry, value, getattr(kind(), name))
                space[name] = value
    if not space and not sheet.problems:
        sheet.problem(("parameters",), "parameters: all are fixed, nothing to search")
    try:
        kind(**fixed)
    except UserError as error:  # which begins with the field's name
        sheet.problem(("parameters", re.split(r"\W", str(error))[0]), str(error))
    else:
        for name, distribution in space.items():
            with sheet.noting("parameters", name):
                for value in extremes(distribution):
                    kind(**fixed | {name: value})
    return space, fixed


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


def _metric(
    sheet: Sheet, kind: type[Config], space: dict[str, BaseDistribution], fixed: dict[str, Any]
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
        _logged(kind, metric["name"], space, fixed)
    return metric


def _logged(
    kind: type[Config], name: str, space: dict[str, BaseDistribution], fixed: dict[str, Any]
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
    every = fixed.get("eval_every", kind().eval_every)
    if not every:
        raise UserError(f"metric: {name} is not logged with eval_every 0; fix it with value: 1")
    if "eval_images" in space:
        raise UserError("eval_images: is part of the metric's name; fix it with value:")
    data = fixed.get("data", kind().data)
    n = fixed.get("eval_images", kind().eval_images)
    if data == "synthetic-art":
        n = min(n, fixed.get("held_out", GANConfig().held_out))
    if scalar != f"{stem}{n}" and data not in FOLDERS:
        raise UserError(f"metric: {name} is never logged; of {data} it is val/{stem}{n}")


def _command(command: Any) -> None:
    """Refuse a command that would not start the program with its flags."""
    if command is None:
        return
    if not isinstance(command, list) or not command:
        raise UserError('command: must be a list, such as ["${env}", "${interpreter}", ...]')
    macros = [m for part in command for m in re.findall(r"\$\{(?!envvar:)([^}]*)\}", str(part))]
    for macro in macros:
        if macro not in MACROS:
            raise UserError(
                f"command: ${{{macro}}} is not read by the program; write ${{args}}"
                if macro.startswith("args")
                else f"command: ${{{macro}}} is unknown; known: {', '.join(sorted(MACROS))}"
            )
    if not {"args", "args_no_equals"} & set(macros):
        raise UserError('command: the parameters are not passed on; add "${args}"')


def _stopping(entry: Any) -> Stopping | None:
    """`early_terminate`; hyperband in either form, as W&B reads it."""
    if entry is None:
        return None
    if not isinstance(entry, dict) or entry.get("type") not in ("hyperband", "median"):
        raise UserError("early_terminate: type must be hyperband (or median, here alone)")
    keys = {"min_iter"} if entry["type"] == "median" else {"min_iter", "max_iter", "s", "eta"}
    with_strict = keys | {"type", "strict"}
    try:
        known(entry, with_strict, "key")
    except UserError as error:
        raise UserError(f"early_terminate: {error}") from error
    numbers = {key: entry[key] for key in keys & set(entry)}
    for key, value in numbers.items():
        if type(value) is not int or value < (2 if key == "eta" else 1):
            least = 2 if key == "eta" else 1
            raise UserError(f"early_terminate: {key} must be a whole number of at least {least}")
    eta = numbers.get("eta", 3)  # W&B's default
    if "min_iter" in numbers:
        return Stopping(entry["type"], numbers["min_iter"], eta)
    if entry["type"] == "median" or not {"max_iter", "s"} <= set(numbers):
        raise UserError("early_terminate: give min_iter, or of hyperband max_iter and s")
    brackets = min(numbers["s"], int(math.log(numbers["max_iter"], eta) + 1e-9))
    if brackets < 1:
        raise UserError("early_terminate: max_iter must be at least eta")
    return Stopping("hyperband", int(numbers["max_iter"] / eta**brackets), eta)
