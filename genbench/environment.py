"""The environment variables that genbench reads or sets: all of them here, none lost for good.

GENBENCH_DATA: where data sets lie. GENBENCH_CACHE: where what was decoded, painted or extracted
once is kept. GENBENCH_HINTED: set for workers, whose parent's first one says what all would say.
KAGGLEHUB_CACHE: as kagglehub documents it. `OF_ONE_RUN` and WANDB_PROJECT,
WANDB_ENTITY: as W&B documents them, but for WANDB_DIR and WANDB_RESUME, which a run's folder stands
in place of. W&B itself reads the others of its own. CUDA_VISIBLE_DEVICES: the GPUs that workers
share. RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE: the processes of one training, and
TORCHELASTIC_ERROR_FILE: where each says how it failed, as torchrun sets them. PATH: where a sweep's
program is looked for. DISPLAY, WAYLAND_DISPLAY: whether a browser can be shown. Set for W&B where
the user has not: WANDB_SILENT, WANDB_PROJECT, WANDB_ENTITY, WANDB_RUN_GROUP, and always
WANDB_DATA_DIR.
"""

import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from genbench import UserError
from genbench.console import say_once

PROJECT = "genbench"
HINTED = "GENBENCH_HINTED"
LOCAL_SWEEP = "local-"  # begins the ids of sweeps that no server knows
MODES = ("auto", "online", "offline", "disabled", "run", "dryrun", "shared")
SAME = {"run": "online", "dryrun": "offline"}  # W&B's older words
LONGEST_ID = 100  # W&B names a table's artifact run-ID-KEY, in at most 128 characters
NOT_IN_ID = ":;,#?/'"
PLACE = {  # in W&B, of a run: what config.json calls it, and the variable
    "entity": "WANDB_ENTITY",
    "group": "WANDB_RUN_GROUP",
    "name": "WANDB_NAME",
    "notes": "WANDB_NOTES",
    "tags": "WANDB_TAGS",
    "job_type": "WANDB_JOB_TYPE",
}
OF_ONE_RUN = (
    *("WANDB_MODE", "WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_RUN_GROUP", "WANDB_SERVICE"),
    *("WANDB_NAME", "WANDB_NOTES", "WANDB_TAGS", "WANDB_JOB_TYPE", "WANDB_DIR", "WANDB_RESUME"),
)


def data_root(data_dir: str = "") -> Path:
    """The folder for data sets: `data_dir`, else $GENBENCH_DATA, else the user's cache."""
    chosen = data_dir or os.environ.get("GENBENCH_DATA")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("genbench")


def cache_folder() -> Path:
    """Where decoded pictures and features are kept: $GENBENCH_CACHE, else in the user's cache."""
    chosen = os.environ.get("GENBENCH_CACHE")
    default = platformdirs.user_cache_path("genbench") / "pictures"
    return Path(chosen).expanduser() if chosen else default


def kagglehub_cache() -> Path:
    """Where kagglehub keeps what it has fetched."""
    return Path(os.environ.get("KAGGLEHUB_CACHE") or "~/.cache/kagglehub").expanduser()


def wandb_mode(choice: str) -> str:
    """W&B's mode: auto, online, offline, disabled or shared.

    Args:
        choice: The user's; auto: WANDB_MODE, and auto where that is not set.

    Raises:
        UserError: It is no mode.
    """
    name, mode = "wandb", choice
    if choice == "auto":
        name, mode = "WANDB_MODE", os.environ.get("WANDB_MODE") or "auto"
    if mode not in MODES:
        raise UserError(f"{name}={mode}: choose one of {', '.join(MODES)}")
    return SAME.get(mode, mode)


def wandb_project() -> str:
    """The project that runs go to."""
    return os.environ.get("WANDB_PROJECT") or PROJECT


def wandb_place(given: Mapping[str, str]) -> dict[str, str]:
    """Where in W&B a run belongs and what it is called there, of `PLACE` what is known.

    Args:
        given: The user's words, which win over the variables.
    """
    place = {name: os.environ.get(variable, "") for name, variable in PLACE.items()}
    place |= {"project": wandb_project()} | {k: v for k, v in given.items() if v}
    return {name: value for name, value in place.items() if value}


def given_run_id() -> str:
    """The run's id in W&B as an agent or the user gives it, good or not; empty: none is given."""
    return os.environ.get("WANDB_RUN_ID", "")


def wandb_run_id(default: str, taken: Collection[str] = ()) -> str:
    """The run's id in W&B: an agent's or the user's, unless taken; else `default`.

    One that W&B refuses is named.
    """
    default = default[-LONGEST_ID:]
    given = given_run_id() or default
    if len(given) > LONGEST_ID or given != given.strip() or set(given) & set(NOT_IN_ID):
        say_once(
            f"WANDB_RUN_ID={given[:LONGEST_ID]}: no id of a run (at most {LONGEST_ID} characters, "
            f"none of {NOT_IN_ID}); it is {default} instead"
        )
        return default
    return default if given in taken else given


def wandb_sweep() -> dict[str, str]:
    """The sweep that this process is a run of, as W&B's agent or `genbench sweep` says it."""
    sweep = os.environ.get("WANDB_SWEEP_ID")
    return {"sweep": sweep} if sweep else {}


def offer(**variables: str) -> None:
    """Set variables for this process and its children, where the user has not; not empty ones."""
    for name, value in variables.items():
        if value:
            os.environ.setdefault(name, value)


@contextmanager
def changed(**variables: str | None) -> Iterator[None]:
    """Variables as given inside the block, None for absent; as they were after it."""
    before = {name: os.environ.get(name) for name in variables}
    _put(variables)
    try:
        yield
    finally:
        _put(before)


def _put(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def for_wandb() -> dict[str, str]:
    """The environment of a process that feeds W&B: ours, without what is of one run alone.

    That is in the runs' records. A sweep that no server knows is hidden from W&B, since `wandb
    sync` would name it to one.
    """
    kept = {k: v for k, v in os.environ.items() if k not in OF_ONE_RUN}
    kept = {k: v for k, v in kept.items() if v or not k.startswith("WANDB_")}
    return {"WANDB_SILENT": "true", **kept}


@contextmanager
def of_wandb() -> Iterator[None]:
    """`for_wandb` as this process's environment."""
    there = for_wandb()
    with changed(**{name: there.get(name) for name in {*os.environ, *there}}):
        yield


def stage_tables_in(folder: Path) -> None:
    """Let W&B stage tables in a folder, for as long as the process lasts or until the next one."""
    os.environ["WANDB_DATA_DIR"] = str(folder.resolve())


def gpus(count: int) -> list[str]:
    """The GPUs that this process may use, of `count`, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(i) for i in range(count)]
    return [name for name in named.split(",") if name]


def processes() -> int:
    """How many processes torchrun has started for one training; 1: this one alone.

    Raises:
        UserError: WORLD_SIZE is no such number.
    """
    named = os.environ.get("WORLD_SIZE") or "1"
    if not named.isdecimal() or int(named) < 1:
        raise UserError(f"WORLD_SIZE={named}: must be a number of processes; unset it")
    return int(named)


def rank() -> int:
    """Which of them this one is, from 0."""
    named = os.environ.get("RANK", "")
    several = os.environ.get("WORLD_SIZE") not in (None, "", "1")
    return int(named) if several and named.isdecimal() else 0


def local_rank() -> int:
    """Which of those on this machine this one is, from 0."""
    return int(os.environ.get("LOCAL_RANK") or 0)


def local_processes() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE") or 1)


def by_torchrun() -> bool:
    """Whether torchrun wants to know how this process fails."""
    return bool(os.environ.get("TORCHELASTIC_ERROR_FILE"))


def check_alone(what: str) -> None:
    """Refuse what several processes cannot do together.

    Raises:
        UserError: There are several.
    """
    if (n := processes()) > 1:
        raise UserError(
            f"{what} is one process, not the {n} of WORLD_SIZE; torchrun is for trainings "
            "(experiments/{ae,vae,gan,flow}.py, genbench train, genbench resume); else unset it"
        )


def with_variables(text: str) -> str:
    """`text` with the environment's variables, as W&B's agent fills in ${envvar:NAME}."""
    return re.sub(r"\$\{envvar:([^}]*)\}", lambda m: os.environ.get(m[1], m[1]), text)


def for_program(
    first_on_path: Path, offered: dict[str, str], forced: dict[str, str]
) -> dict[str, str]:
    """The environment of a program that is started: what is offered, ours over it, what is forced.

    Args:
        first_on_path: A folder whose programs come before others.
        offered: Variables that ours replace.
        forced: Variables that replace ours.
    """
    path = f"{first_on_path}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**offered, **os.environ, **forced, "PATH": path}


def has_display() -> bool:
    """Whether a window can be shown here."""
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or bool(shown)
