"""W&B sweep files, read as Optuna search spaces: one file, one meaning, two tools."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution

from genbench import UserError
from genbench.families import FAMILIES, Family
from genbench.sweep.command import check_command, constant_flags, find_program, trained
from genbench.sweep.distributions import LARGEST_GRID, extremes, holds, refuse_unknown
from genbench.sweep.lines import Sheet, read_sheet
from genbench.sweep.metric import read_metric
from genbench.sweep.parameters import contradictions, read_parameters, refuse_contradictions
from genbench.sweep.scheduler import read_engine
from genbench.sweep.shipped import find_sweep

__all__ = [
    "Stopping",
    "Sweep",
    "check_sweep",
    "contradictions",
    "find_sweep",
    "holds",
    "read_sweep",
]

TOP_KEYS = {
    *("program", "method", "metric", "parameters", "name", "description", "command"),
    *("early_terminate", "run_cap", "project", "entity", "scheduler"),
}
METHODS = ("bayes", "random", "grid")


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
    flags: dict[str, Any]  # what the command itself says of the configuration
    method: str
    metric: str  # as logged, "val/elbo"
    goal: str  # "minimize" or "maximize"
    target: float | None  # a value of the metric that is good enough
    space: dict[str, BaseDistribution]
    fixed: dict[str, Any]
    seeds: tuple[int, ...]  # over which every trial is repeated; empty: the search's own
    stopping: Stopping | None
    run_cap: int | None  # trials at most, over all calls and machines
    project: str  # W&B's; empty: the usual one
    entity: str
    engine: str  # of W&B's scheduler; empty: its server proposes the runs

    @property
    def family(self) -> Family:
        """The family that `program` or `command` trains."""
        return FAMILIES.find(trained(self.command) or Path(self.program).stem, "program")

    @property
    def held(self) -> dict[str, Any]:
        """All that does not vary: the fixed parameters, and the command's own flags over them."""
        return self.fixed | self.flags


def read_sweep(
    path: Path, family: Family | None = None, given: dict[str, Any] | None = None
) -> Sweep:
    """Read a sweep file.

    Args:
        path: The file.
        family: The one that it must train, for a search that trains in its own process;
            None: any, and the program must be there to be started.
        given: What the user's own flags say in place of the file's fixed values.

    Raises:
        UserError: The file is missing, no YAML, or says what Optuna, W&B or the model cannot do.
    """
    sheet = read_sheet(path)
    sweep = _read(sheet, family, given or {})
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
    return problems_of(read_sheet(path))


def problems_of(sheet: Sheet) -> list[str]:
    """The same of a file that is read already."""
    _read(sheet, None, {})
    return sheet.said()


def _check_held(sheet: Sheet, family: Family, held: dict[str, Any], twice: set[str]) -> None:
    """Note what is searched and given by a flag too, and classes that a family cannot learn."""
    for name in twice:
        sheet.problem(("parameters", name), f"{name}: is searched; leave out --{name}, or fix it")
    if held.get("conditional") and not family.conditional:
        where = ("parameters", "conditional")
        sheet.problem(where, f"conditional: {family.name} learns no classes; leave it out")


def _read(sheet: Sheet, wanted: Family | None, given: dict[str, Any]) -> Sweep | None:
    """The sweep; None if the sheet has problems."""
    content = sheet.content
    if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
        sheet.problem((), "it needs parameters, metric and method, see sweeps/vae.yaml")
        return None
    command, flags, stopping = content.get("command"), {}, None
    program = content.get("program") or trained(command) or (wanted and f"{wanted.name}.py")
    family = _family(sheet, program, wanted)
    _check_scalars(sheet)
    if not family:
        return None
    with sheet.noting("command"):
        check_command(command)
        flags = constant_flags(command or [], family.config)
    if not wanted:
        with sheet.noting("program"):
            program = find_program(str(program), command, sheet.path)
    grid = content.get("method") == "grid"
    space, fixed, seeds = read_parameters(sheet, family.config, grid, flags)
    if grid and not sheet.has("parameters"):
        _check_size(sheet, space)
    held = fixed | flags | given
    _check_held(sheet, family, held, set(given) & set(space))
    if space and not sheet.has("parameters", "command"):
        refuse_contradictions(sheet, family.config, space, held)
    with sheet.noting("early_terminate"):
        stopping = read_stopping(content.get("early_terminate"))
    metric = read_metric(sheet, family, space, held)
    engine = read_engine(sheet)
    if sheet.problems:
        return None
    return Sweep(
        path=str(sheet.path),
        program=str(program),
        command=tuple(map(str, command or ())),
        flags=flags,
        method=content["method"],
        metric=metric["name"],
        goal=metric.get("goal", "minimize"),
        target=metric.get("target"),
        space=space,
        fixed=fixed,
        seeds=seeds,
        stopping=stopping,
        run_cap=content.get("run_cap"),
        project=content.get("project", ""),
        entity=content.get("entity", ""),
        engine=engine,
    )


def _family(sheet: Sheet, program: Any, wanted: Family | None) -> Family | None:
    """The family that the program trains, by its name; None, and a problem, if it is another."""
    model = Path(str(program)).stem
    inside = trained(sheet.content.get("command"))
    if inside and inside != model:
        sheet.problem(("command",), f"command: trains {inside}, and program is {program}")
        return None
    if model in FAMILIES and (not wanted or model == wanted.name):
        return FAMILIES[model]
    models = wanted.name if wanted else " or ".join(FAMILIES)
    sheet.problem(("program",), f"program: {program} does not train {models}")
    return None


def _check_scalars(sheet: Sheet) -> None:
    """Note unknown keys of the top level, and values of theirs that cannot be."""
    content = sheet.content
    for key in content:
        with sheet.noting(key):
            refuse_unknown({key: 0}, TOP_KEYS, "key")
    method, cap = content.get("method"), content.get("run_cap")
    if method not in METHODS:
        sheet.problem(("method",), f"method: {method} is unknown; write {' or '.join(METHODS)}")
    if cap is not None and (type(cap) is not int or cap < 1):
        sheet.problem(("run_cap",), f"run_cap: {cap} must be a whole number of at least 1")
    for key in ("program", "name", "description", "project", "entity"):
        if not isinstance(content.get(key, ""), str):
            sheet.problem((key,), f"{key}: {content[key]} must be text")


def _check_size(sheet: Sheet, space: dict[str, BaseDistribution]) -> None:
    size = math.prod(len(extremes(distribution)) for distribution in space.values())
    if size > LARGEST_GRID:
        sheet.problem(
            ("method",),
            f"method: grid has {size:,} points, at most {LARGEST_GRID:,} are tried; "
            "write random or bayes",
        )


def read_stopping(entry: Any) -> Stopping | None:
    """`early_terminate`; hyperband in either form, as W&B reads it.

    Raises:
        UserError: It cannot be read.
    """
    if entry is None:
        return None
    if not isinstance(entry, dict) or entry.get("type") not in ("hyperband", "median"):
        raise UserError("early_terminate: type must be hyperband (or median, here alone)")
    keys = {"min_iter"} if entry["type"] == "median" else {"min_iter", "max_iter", "s", "eta"}
    with_strict = keys | {"type", "strict"}
    try:
        refuse_unknown(entry, with_strict, "key")
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
