"""The environment variables that genbench reads or sets: all of them here, none lost for good.

GENBENCH_DATA: where data sets lie. GENBENCH_CACHE: where what was decoded, painted or extracted
once is kept. WANDB_MODE, WANDB_PROJECT, WANDB_RUN_ID, WANDB_SWEEP_ID: as W&B documents them.
CUDA_VISIBLE_DEVICES: the GPUs that workers share. PATH: where a sweep's program is looked for.
Set for W&B where the user has not: WANDB_SILENT, WANDB_PROJECT, WANDB_ENTITY, WANDB_RUN_GROUP, and
always WANDB_DATA_DIR.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

PROJECT = "genbench"
LOCAL_SWEEP = "local-"  # begins the ids of sweeps that no server knows


def data_root(data_dir: str = "") -> Path:
    """The folder for data sets: `data_dir`, else $GENBENCH_DATA, else the user's cache."""
    chosen = data_dir or os.environ.get("GENBENCH_DATA")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("genbench")


def cache_folder() -> Path:
    """Where decoded pictures and features are kept: $GENBENCH_CACHE, else in the user's cache."""
    chosen = os.environ.get("GENBENCH_CACHE")
    default = platformdirs.user_cache_path("genbench") / "pictures"
    return Path(chosen).expanduser() if chosen else default


def wandb_mode() -> str:
    """W&B's mode as the user set it, else auto."""
    return os.environ.get("WANDB_MODE") or "auto"


def wandb_project() -> str:
    """The project that runs go to."""
    return os.environ.get("WANDB_PROJECT", PROJECT)


def wandb_run_id() -> str | None:
    """The run's id in W&B, where an agent has chosen it."""
    return os.environ.get("WANDB_RUN_ID")


def wandb_sweep() -> dict[str, str]:
    """The sweep that this process is a run of, as W&B's agent or `genbench sweep` says it."""
    names = {"sweep": "WANDB_SWEEP_ID", "wandb_run": "WANDB_RUN_ID"}
    return {name: os.environ[key] for name, key in names.items() if key in os.environ}


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


@contextmanager
def wandb_start(folder: Path) -> Iterator[None]:
    """The environment in which W&B's run of a folder is started.

    Tables are staged in the folder for as long as the process lasts. A sweep that no server knows
    is hidden from W&B, since `wandb sync` would name it to one; the runs' group stays.
    """
    offer(WANDB_SILENT="true")
    os.environ["WANDB_DATA_DIR"] = str(folder.resolve())
    local = os.environ.get("WANDB_SWEEP_ID", "").startswith(LOCAL_SWEEP)
    with changed(**({"WANDB_SWEEP_ID": None} if local else {})):
        yield


def gpus(count: int) -> list[str]:
    """The GPUs that this process may use, of `count`, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(i) for i in range(count)]
    return [name for name in named.split(",") if name]


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
