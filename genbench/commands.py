"""What `genbench` does, a function a command: its parameters are the flags. Imports are lazy."""

import math
import shutil
import sys
from pathlib import Path
from typing import Literal

from genbench import UserError
from genbench.config import EvaluateConfig


def report(runs_dir: str = "runs", out: str = "reports", data: str = "") -> None:
    """Write summary.md, summary.html and figures/ from the run records.

    Args:
        runs_dir: Folder with the run folders.
        out: Folder to write to.
        data: Data set to report on (default: of AE and VAE, and of GANs, the one with the
            most finished runs, as is the likelihood; others are named as left out).
    """
    from genbench.record import read_runs
    from genbench.report import write_report

    print(f"Drawing the figures of {runs_dir}", flush=True)
    page = write_report(runs_dir, out, data)
    print(f"Summary:  {page.resolve()} (and summary.md beside it)")
    newest = read_runs(runs_dir)[-1].path
    # the commands as they work here, whether or not the virtual environment is activated
    wandb = "wandb" if shutil.which("wandb") else Path(sys.executable).with_name("wandb")
    print(f"Look:     {wandb} leet {newest}/wandb")
    print(f"Upload:   {wandb} sync {runs_dir}/*/wandb/offline-run-*")


def runs(runs_dir: str = "runs") -> None:
    """Print a table of the runs.

    Args:
        runs_dir: Folder with the run folders.
    """
    from genbench.record import read_runs

    records = read_runs(runs_dir)
    width = max((len(record.path.name) for record in records), default=3)
    print(f"{'run':{width}}  {'status':8}  {'epochs':>6}  {'seconds':>8}  score")
    for record in records:
        name = record.about["objective"]
        score = f"{name} {record.scores[name]:.3f}" if name in record.scores else ""
        seconds = f"{record.summary['seconds']:.1f}" if record.summary else ""
        rows = record.metrics()
        epochs = math.ceil(rows[-1]["epoch"]) if rows else 0  # done, not asked for
        print(f"{record.path.name:{width}}  {record.status:8}  {epochs:6}  {seconds:>8}  {score}")


def sample(
    run: str,
    /,
    n: int = 64,
    seed: int = 0,
    out: str = "grid.png",
    truncation: float = 0.0,
    interpolate: bool = False,
    format: Literal["grid", "png-folder"] = "grid",
    runs_dir: str = "runs",
) -> None:
    """Draw pictures from a trained model.

    Args:
        run: The run's folder, or its name below runs_dir.
        n: Number of pictures.
        seed: Of the codes z; the first pictures are the same for any n.
        out: File to write; the folder for png-folder.
        truncation: Draw z from N(0, 1) cut off beyond plus and minus this: fewer surprises, less
            variety (Brock et al. 2019); 0: not cut off.
        interpolate: Rows of 8 pictures, each along the great circle between two codes.
        format: One picture with all of them, or a folder with a PNG each.
        runs_dir: Folder with the run folders.
    """
    import numpy as np
    from PIL import Image

    from genbench.evaluate.samples import draw
    from genbench.images import tile
    from genbench.handlers import as_pictures

    folder = _run_folder(run, runs_dir)
    pictures = as_pictures(draw(folder, n, seed, truncation, interpolate))
    target = Path(out).expanduser()
    if format == "png-folder" and out == "grid.png":
        target = Path("samples")
    try:
        if format == "grid":
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(tile(pictures, min(8, len(pictures)))).save(target)
        else:
            target.mkdir(parents=True, exist_ok=True)
            for i, picture in enumerate(np.asarray(pictures)):
                Image.fromarray(picture).save(target / f"{i:05d}.png")
    except (OSError, ValueError) as error:
        raise UserError(f"out={out}: cannot be written ({error}); name another") from error
    print(f"{len(pictures)} pictures of {folder.name}: {target}")


def data(
    action: Literal["audit"],
    /,
    data: Literal["folder", "propaganda-debian"] = "folder",
    data_dir: str = "",
    image_size: int = 64,
    crops: int = 0,
) -> None:
    """Say what is in a folder of pictures, and what training will do with each kind.

    Args:
        action: audit.
        data: A data set of picture files.
        data_dir: folder: the pictures.
        image_size: Side of the squares that they are cut to, in pixels.
        crops: Random squares cut from a picture (0: its centre).
    """
    from genbench.config import GANConfig
    from genbench.data.art import PROPAGANDA
    from genbench.data.audit import audit

    config = GANConfig(data=data, data_dir=data_dir, image_size=image_size, crops=crops)
    folder = Path(config.data_dir).expanduser() if data == "folder" else PROPAGANDA
    for line in audit(folder, image_size, crops):
        print(line)


def evaluate(
    runs: tuple[str, ...] = (),
    /,
    fakes: str = "",
    reals: str = "",
    runs_dir: str = "runs",
    options: EvaluateConfig = EvaluateConfig(),  # noqa: B008 - frozen
) -> None:
    """Score finished runs, or a folder of samples, against real pictures, and print a table.

    Runs must be of one data set. What is found is kept in their folders (evaluations.jsonl).

    Args:
        runs: Folders of runs, or their names below runs_dir.
        fakes: A folder of samples, from any program, in place of runs; needs reals.
        reals: A folder of real pictures to hold them against.
        runs_dir: Folder with the run folders.
        options: How to score.
    """
    if bool(runs) == bool(fakes or reals) or bool(fakes) != bool(reals):
        raise UserError("name runs, or two folders with --fakes and --reals")
    from genbench.evaluate.evaluation import evaluate_folders, evaluate_models
    from genbench.evaluate.runs import load_models, record
    from genbench.evaluate.show import model_lines, table_lines

    if fakes:
        folders = Path(fakes).expanduser(), Path(reals).expanduser()
        for table in evaluate_folders(*folders, options):
            print(*table_lines(table), sep="\n", flush=True)
        return
    paths = [_run_folder(run, runs_dir) for run in runs]
    models = load_models(paths, options)
    try:
        for table in evaluate_models(models, options):
            print(*table_lines(table), sep="\n", flush=True)
    finally:  # Ctrl-C keeps what was found
        for model in models:
            if model.found:
                record(model, options)
    print()
    for model in models:
        print(*model_lines(model), sep="\n", flush=True)


def sweep(
    words: tuple[str, ...],
    /,
    count: int = 20,
    workers: int = 1,
    runs_dir: str = "runs",
    storage: str = "",
    seed: int = 0,
) -> None:
    """Run a W&B sweep file with no server, each run started by the file's own command.

    `genbench sweep check FILE` says what is wrong with a file, and runs nothing.

    Args:
        words: The sweep file; with the word check before it, it is validated alone.
        count: Runs to add.
        workers: Runs at a time, each with its share of the cores.
        runs_dir: The records and the study go here.
        storage: URL of the study's database, for several machines (default: in runs_dir).
        seed: Of the proposals.
    """
    from genbench.sweep import check_sweep, contradictions, read_sweep

    if words[:1] == ("check",) and len(words) == 2:
        if problems := check_sweep(Path(words[1])):
            print(*problems[:-1], sep="\n", end="\n" * (len(problems) > 1), file=sys.stderr)
            raise UserError(problems[-1])
        found = read_sweep(Path(words[1]))
        print(f"{words[1]}: {len(found.space)} parameters to search, nothing wrong")
        refused, why = contradictions(found.kind, found.space, found.held)
        if refused:
            print(f"of 100 draws {refused} will be failed trials, such as {why}")
        if found.stopping and found.stopping.type == "median":
            print("early_terminate: median is read here alone; W&B knows hyperband")
        return
    if len(words) != 1:
        raise UserError(f"{' '.join(words)!r}: name one sweep file, such as sweeps/vae.yaml")
    if count < 1:
        raise UserError(f"count={count}: must be at least 1")
    from genbench.cli import run_search
    from genbench.config import SearchConfig
    from genbench.search import Search

    options = SearchConfig(
        trials=count, workers=workers, runs_dir=runs_dir, storage=storage, seed=seed, timeout=1e9
    )
    search = Search(read_sweep(Path(words[0])), options, launched=True)
    run_search(search)
    print(f"genbench report --runs_dir={runs_dir} writes the summary")
    print(f"wandb sync {runs_dir}/*/wandb/offline-run-*    uploads the runs, group {search.name}")


def _run_folder(run: str, runs_dir: str) -> Path:
    """A run by its folder, or by its name below `runs_dir`."""
    return Path(run) if Path(run).is_dir() else Path(runs_dir) / run
