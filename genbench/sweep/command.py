"""`program` and `command` of a sweep file: how W&B's agent starts a run."""

import dataclasses
import itertools
import os
import re
from pathlib import Path
from typing import Any

from genbench import UserError
from genbench.config import Config, roles
from genbench.environment import with_variables
from genbench.families import FAMILIES

# Of W&B's agent, without those whose form experiments/*.py do not read.
MACROS = {"env", "interpreter", "program", "args", "args_no_equals"}


def check_command(command: Any) -> None:
    """Refuse a command that would not start the program with its flags."""
    if command is None:
        return
    if not isinstance(command, list) or not command:
        raise UserError('command: must be a list, such as ["${env}", "${interpreter}", ...]')
    whole = set()  # the macros that the agent replaces: those that are a part by themselves
    for part in map(str, command):
        for macro in re.findall(r"\$\{(?!envvar:)([^}]*)\}", part):
            if macro not in MACROS:
                raise UserError(
                    f"command: ${{{macro}}} is not read by the program; write ${{args}}"
                    if macro.startswith("args")
                    else f"command: ${{{macro}}} is unknown; known: {', '.join(sorted(MACROS))}"
                )
            if part != f"${{{macro}}}":
                raise UserError(f"command: {part}: ${{{macro}}} must be a part of its own")
            whole.add(macro)
    if not {"args", "args_no_equals"} & whole:
        raise UserError('command: the parameters are not passed on; add "${args}"')


def find_program(program: str, command: Any, sheet: Path) -> str:
    """The program as this folder sees it: named from here, or from one around the sweep file.

    Raises:
        UserError: The command starts it, and it is not there.
    """
    if isinstance(command, list) and "${program}" not in command:
        return program
    for folder in (Path(), *sheet.resolve().parents):
        if os.path.isfile(folder / program):
            return str(folder / program)
    start = f'["${{env}}", genbench, train, {Path(program).stem}, "${{args}}"]'
    raise UserError(
        f"program: there is no {program} here or around {sheet}; write command: {start}"
    )


def trained(command: Any) -> str:
    """The family that a command trains, by `genbench train FAMILY` or by its script FAMILY.py.

    Empty: it starts no such by name.
    """
    words = list(map(str, command)) if isinstance(command, list | tuple) else []
    for program, action, family in zip(words, words[1:], words[2:], strict=False):
        if (Path(program).name, action) == ("genbench", "train"):
            return family
    scripts = (Path(word).stem for word in words if word.endswith(".py"))
    return next((name for name in scripts if name in FAMILIES), "")


def constant_flags(command: list[Any], kind: type[Config]) -> dict[str, Any]:
    """The fields that the command itself sets, `--epochs=3` or `--epochs 3`, whatever is drawn."""
    defaults, flags = kind(), {}
    fields = {field.name for field in dataclasses.fields(kind)}
    words = [with_variables(str(part)) for part in command]
    for word, after in itertools.pairwise([*words, ""]):
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--amp="):
            raise UserError(f"command: {word}: is --precision now; write bf16, or fp32")
        if not word.startswith("--") or name not in fields:
            continue
        if roles(kind)[name].sweep == "own":
            raise UserError(f"command: --{name} is the search's to set; delete it")
        text = value if equals else after
        try:
            flags[name] = kind.check(name, _typed(text, type(getattr(defaults, name))))
        except (UserError, ValueError) as error:
            raise UserError(f"command: --{name}={text}: {error}") from error
    return flags


def _typed(text: str, kind: type) -> Any:
    if kind is bool and text not in ("True", "False"):
        raise ValueError("write True or False")
    return text == "True" if kind is bool else kind(text)
