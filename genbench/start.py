"""The commands of `genbench` that start trainings, a function a command. Imports are lazy."""

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from genbench import UserError
from genbench.cli import run_search, run_training, search_family, train_family
from genbench.console import counted


def train(*words: str) -> None:
    """Train a model: genbench train FAMILY, with the family's own flags.

    Args:
        words: The family, and its flags.
    """
    _of_a_family("train", train_family, words)


def resume(
    run: str,
    /,
    epochs: int = 0,
    minutes: float = 0.0,
    data_dir: str = "",
    device: Literal["", "auto", "cpu", "cuda", "mps"] = "",
    wandb: Literal["", "auto", "online", "offline", "disabled"] = "",
    runs_dir: str = "runs",
) -> None:
    """Go on with a run that was stopped, in its folder, from its last checkpoint.

    Args:
        run: The run's folder, or its name below runs_dir.
        epochs: Go on to so many epochs in all (default: as many as it was to have).
        minutes: Go on to so many minutes of training in all (default: as it was).
        data_dir: Where its data lie now (default: where they did).
        device: Where to go on (default: where it was); only a CPU repeats a training to the bit.
        wandb: W&B's mode (default: as it was).
        runs_dir: Folder with the run folders.
    """
    from genbench.resume import find_run, read_config

    folder = find_run(run, runs_dir)
    named: dict[str, Any] = {
        "epochs": epochs,
        "minutes": minutes,
        "data_dir": data_dir,
        "device": device,
        "wandb": wandb,
    }
    given = {name: value for name, value in named.items() if value}
    config = read_config(folder / "config.json")
    run_training(dataclasses.replace(config, **given), folder)


def search(*words: str) -> None:
    """Search the best hyper-parameters of a family, then train them: genbench search FAMILY.

    Args:
        words: The family, and the search's flags.
    """
    _of_a_family("search", search_family, words)


def _of_a_family(command: str, run: Callable[..., None], words: Sequence[str]) -> None:
    """Run a command of the family that comes first; without one, list them."""
    from genbench.families import FAMILIES

    if words and words[0] in FAMILIES:
        run(words[0], words[1:], f"genbench {command} {words[0]}")
        return
    import tyro

    def listed(text: str | None) -> Callable[[], None]:
        def nothing() -> None:
            pass

        nothing.__doc__ = text
        return nothing

    families = {name: listed(family.config.__doc__) for name, family in FAMILIES.items()}
    tyro.extras.subcommand_cli_from_dict(families, prog=f"genbench {command}", args=words)


def sweep(
    words: tuple[str, ...],
    /,
    count: int = 20,
    workers: int = 1,
    runs_dir: str = "runs",
    storage: str = "",
    seed: int = 0,
    model: str = "",
) -> None:
    """Run a W&B sweep file with no server, each run started by the file's own command.

    `genbench sweep check FILE` says what is wrong with a file, `genbench sweep show FILE` prints
    it, `genbench sweep translate FILE` prints the nearest one that is right; all run nothing.

    Args:
        words: The sweep file, or the name of one that comes with genbench, such as gan; with the
            word check, show or translate before it, it is only validated or printed.
        count: Runs to add.
        workers: Runs at a time, each with its share of the cores.
        runs_dir: The records and the study go here.
        storage: URL of the study's database, for several machines (default: in runs_dir);
            grpc://HOST:PORT is another machine's, see genbench storage.
        seed: Of the proposals.
        model: translate: the family to train (default: the one that the file names).
    """
    from genbench.sweep import find_sweep, read_sweep

    if words[:1] in (("check",), ("show",)) and len(words) == 2:
        (_check if words[0] == "check" else _show)(find_sweep(words[1]))
        return
    if words[:1] == ("translate",) and len(words) == 2:
        from genbench.sweep.translate import translate

        print(translate(find_sweep(words[1]), model), end="")
        return
    if len(words) != 1:
        raise UserError(f"{' '.join(words)!r}: name one sweep file, such as sweeps/vae.yaml")
    if count < 1:
        raise UserError(f"count={count}: must be at least 1")
    from genbench.config import SearchConfig
    from genbench.search.record import show
    from genbench.search.search import Search

    options = SearchConfig(
        trials=count, workers=workers, runs_dir=runs_dir, storage=storage, seed=seed, timeout=1e9
    )
    search = Search(read_sweep(find_sweep(words[0])), options, launched=True)
    run_search(search)
    show(search)
    print(f"Summary: genbench report --runs_dir={runs_dir}")
    print(f"Upload:  genbench sync {runs_dir}/2*    as group {search.name}")


def _check(path: Path) -> None:
    """Print what is wrong with a sweep file, and what may surprise where nothing is."""
    from genbench.sweep import check_sweep, contradictions, read_sweep

    if problems := check_sweep(path):
        print(*problems, sep="\n", file=sys.stderr)
        raise UserError(f"genbench sweep translate {path} prints the nearest file that is right")
    checked = read_sweep(path)
    repeated = f", each point over {len(checked.seeds)} seeds" if checked.seeds[1:] else ""
    print(f"{path}: {counted(len(checked.space), 'parameter')} to search{repeated}, nothing wrong")
    refused, why = contradictions(checked.family.config, checked.space, checked.held)
    if refused:
        print(f"of 100 draws {refused} will be failed trials, such as {why}")
    if checked.stopping and checked.stopping.type == "median":
        print("early_terminate: median is read here alone; W&B knows hyperband")
    if checked.engine == "optuna":
        print("scheduler: W&B's engine optuna is TPE whatever method says, and stops no run early")
    elif checked.engine:
        print(f"scheduler: engine {checked.engine} runs in `wandb sweep-scheduler` alone")


def _show(path: Path) -> None:
    """Print a sweep file, to be changed and given to `wandb sweep` or `genbench sweep`."""
    from genbench.sweep.lines import read_sheet

    read_sheet(path)  # it is one
    print(path.read_text(encoding="utf-8"), end="")


def storage(
    runs_dir: str = "runs", storage: str = "", host: str = "127.0.0.1", port: int = 13000
) -> None:
    """Let other machines join the searches of this one, until Ctrl-C; needs genbench[grpc].

    There is no password: whoever reaches the port can change the studies.

    Args:
        runs_dir: The studies are in its optuna.db.
        storage: URL of another database.
        host: Address to listen at; 0.0.0.0: all of this machine's, for others to reach it.
        port: Port to listen at.
    """
    from genbench.files import writable
    from genbench.search.study import database

    try:
        from genbench.search.proxy import invitation, serve
    except ImportError as error:
        raise UserError("genbench storage: pip install 'genbench[grpc]' has gRPC") from error
    runs_dir = os.path.expanduser(runs_dir)
    with writable(runs_dir):
        Path(runs_dir).mkdir(parents=True, exist_ok=True)
    url = database(runs_dir, storage)
    try:
        serve(url, host, port, lambda: print(invitation(url, host, port), flush=True))
    except KeyboardInterrupt:
        print("closed; the studies are kept, and the same command opens them again")
