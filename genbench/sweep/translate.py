"""A sweep file of any project as the nearest one that W&B, Optuna and genbench take alike."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from genbench import UserError
from genbench.families import FAMILIES, Family
from genbench.scalars import Better, Scalar
from genbench.sweep.command import check_command, find_program, trained
from genbench.sweep.foreign import Notes, read_foreign
from genbench.sweep.lines import Sheet, read_sheet
from genbench.sweep.plain import read_plain

KEPT = ("name", "description", "project", "entity", "run_cap", "scheduler")


def translate(path: Path, model: str = "") -> str:
    """The file's nearest translation, each change with its reason in a comment above it.

    Args:
        path: A sweep file, whatever it trains.
        model: The family that is to be trained; empty: the one that the file names somewhere.

    Raises:
        UserError: The file is missing or no YAML, or the family is not to be found.
    """
    sheet = read_sheet(path)
    given = sheet.content
    if not isinstance(given, dict) or not isinstance(given.get("parameters"), dict):
        raise UserError(f"{path}: has no parameters, so there is nothing to translate")
    family, notes = _family(path, given, model), Notes()
    content: dict[str, Any] = {key: given[key] for key in KEPT if _is_fine(key, given.get(key))}
    content |= _start(path, given, family, notes)
    grid = given.get("method") == "grid"
    content["method"] = given.get("method")
    if content["method"] not in ("grid", "random", "bayes"):
        notes.add("method", f"{given.get('method')!r} is no method of W&B's")
        content["method"] = "bayes"
    parameters, of_parameters = read_foreign(given["parameters"], family.config, grid)
    content["metric"] = _metric(given.get("metric"), family, parameters, notes)
    if "early_terminate" in given:
        content["early_terminate"] = _stopping(given["early_terminate"], notes)
    for key in sorted(set(given) - set(content) - {"parameters", "program", "command"}):
        notes.add("", f"{key}: left out; sweeps have no such key here")
    return _checked(path, _written(content, notes, parameters, of_parameters))


def _is_fine(key: str, value: Any) -> bool:
    if key == "run_cap":
        return type(value) is int and value > 0
    if key == "scheduler":
        return isinstance(value, dict) and value.get("engine") == "optuna" and len(value) == 1
    return isinstance(value, str)


def _family(path: Path, given: dict[str, Any], model: str) -> Family:
    """What is to be trained: as asked for, as the command says, or as a name in the file says."""
    if model:
        return FAMILIES.find(model, "model")
    named = trained(given.get("command"))
    texts = [named, str(given.get("program")), str(given.get("name")), path.stem]
    for text in texts:
        for word in re.split(r"[^a-z]+", text.lower()):
            if word in FAMILIES:
                return FAMILIES[word]
    raise UserError(
        f"{path}: says nowhere what it trains; add --model={' or --model='.join(FAMILIES)}"
    )


def _start(path: Path, given: dict[str, Any], family: Family, notes: Notes) -> dict[str, Any]:
    """`program` and `command`: the file's own where they start this family, else genbench's."""
    program, command = given.get("program"), given.get("command")
    if isinstance(command, list):
        command = ["${args}" if part == "${args_json}" else part for part in command]
        if command != given["command"]:
            notes.add("command", "${args_json} is not read by the program")
    starts = trained(command) or Path(str(program)).stem
    try:
        check_command(command)
        if starts == family.name and find_program(str(program), command, path):
            both = {"program": program, "command": command}
            return {key: value for key, value in both.items() if value}
        why = f"{program or 'the command'} is none of genbench's programs"
    except UserError as error:
        why = str(error)
    notes.add("command", why)
    return {"command": ["${env}", "genbench", "train", family.name, "${args}"]}


def _metric(given: Any, family: Family, parameters: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """The file's metric where it is logged and means the same in all trials; else the family's."""
    config = family.config()
    objective, goal = config.objective(config.eval_images)
    better: Better = "maximize" if goal == "maximize" else "minimize"
    entry = given if isinstance(given, dict) else {}
    name = str(entry.get("name")).removeprefix("val/").removeprefix("val_")
    scalar = family.scalars.get(name, Scalar(title=name, better=better))
    searched = {key for key, value in parameters.items() if "value" not in value}
    known = name in family.scalars or name == objective
    if not known or set(scalar.depends) & searched:
        never = f"{entry.get('name')} is never logged" if entry else "W&B needs one"
        notes.add("metric", f"{never}, or changes its meaning with what is searched")
        return {"name": f"val/{objective}", "goal": better}
    metric = {"name": f"val/{name}", "goal": scalar.better or entry.get("goal", "minimize")}
    if metric["name"] != entry["name"] or metric["goal"] != entry.get("goal", "minimize"):
        notes.add("metric", f"was {entry['name']}, {entry.get('goal', 'minimize')}")
    target = entry.get("target")
    return metric | ({"target": target} if type(target) in (int, float) else {})


def _stopping(given: Any, notes: Notes) -> dict[str, Any]:
    """`early_terminate`, as hyperband if it cannot be read."""
    from genbench.sweep import read_stopping

    try:
        read_stopping(given)
    except UserError as error:
        notes.add("early_terminate", str(error).removeprefix("early_terminate: "))
        return {"type": "hyperband", "min_iter": 1}
    return given


def _written(
    content: dict[str, Any], notes: Notes, parameters: dict[str, Any], of_parameters: Notes
) -> str:
    """YAML with the reasons as comments."""

    def part(key: str, value: Any, known: Notes, indent: str = "") -> Iterator[str]:
        yield from (f"{indent}# {why}" for why in known.of.get(key, []))
        text = yaml.safe_dump([value], sort_keys=False, default_flow_style=True, width=10_000)
        yield f"{indent}{key}: {text.strip()[1:-1]}"

    order = [key for key in ("program", "command", "method", "metric") if key in content]
    lines = [f"# {why}" for known in (notes, of_parameters) for why in known.of.get("", [])]
    for key in order + [key for key in content if key not in order]:
        lines += part(key, content[key], notes)
    lines.append("parameters:" if parameters else "parameters: {}")
    for name, entry in parameters.items():
        lines += part(name, entry, of_parameters, "  ")
    return "".join(f"{line}\n" for line in lines)


def _checked(path: Path, text: str) -> str:
    """The text, with what is still wrong with it in front."""
    from genbench.sweep import problems_of

    plain = read_plain(text)
    left = problems_of(Sheet(path, plain.content, plain.lines))
    return "".join(f"# still wrong: {problem.split(': ', 1)[1]}\n" for problem in left) + text
