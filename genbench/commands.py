"""`genbench` itself, a function a command: its parameters are the flags. Imports are lazy."""

import functools
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genbench import UserError, __version__
from genbench.cli import guard
from genbench.config import EvaluateConfig
from genbench.console import say
from genbench.data_command import data
from genbench.runs_command import runs
from genbench.start import resume, search, storage, sweep, train
from genbench.ui import ui
from genbench.wandb_command import sync, workspace

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from genbench.classes import Classes


def report(
    runs_dir: str = "runs",
    out: str = "reports",
    data: str = "",
    originals: bool = True,
    private: str = "",
) -> None:
    """Write summary.md, summary.html and figures/ from the run records.

    Args:
        runs_dir: Folder with the run folders.
        out: Folder to write to.
        data: Data sets to report on, by commas (default: of families with codes, and of those that
            are judged by samples, the one with the most finished runs; others are named as left
            out).
        originals: Also draw figures with real pictures in them (not if others may not see those).
        private: Data sets, by commas, of which no real picture is drawn.
    """
    from genbench.record.links import link_all
    from genbench.report import write_report
    from genbench.runs import best_run

    print(f"Drawing the figures of {runs_dir}", flush=True)
    page = write_report(runs_dir, out, data, originals, private)
    print(f"Summary:  {page.resolve()} (and summary.md beside it)")
    # the commands as they work here, whether or not the virtual environment is activated
    wandb, genbench = (
        name if shutil.which(name) else Path(sys.executable).with_name(name)
        for name in ("wandb", "genbench")
    )
    print(f"Look:     {wandb} leet {best_run(runs_dir).path}/wandb")
    if together := link_all(runs_dir):
        print(f"All runs: {wandb} leet {together}")
    print(f"Upload:   {genbench} sync {runs_dir}/2*")


def sample(
    run: str,
    /,
    n: int = 64,
    seed: int = 0,
    out: str = "grid.png",
    truncation: float = 0.0,
    interpolate: bool = False,
    format: Literal["grid", "png-folder"] = "grid",
    label: str = "",
    runs_dir: str = "runs",
) -> None:
    """Draw pictures from a trained model.

    Args:
        run: The run's folder, or its name below runs_dir.
        n: Number of pictures.
        seed: Of the codes z; the first pictures are the same for any n.
        out: File to write; the folder for png-folder.
        truncation: Draw z from N(0, 1) cut off beyond plus and minus this: fewer surprises, less
            variety (Brock et al. 2019); 0: not cut off. An autoencoder is drawn from through a
            density fitted to its codes, which cannot be cut off.
        interpolate: Rows of 8 pictures, each on the way from one sample to another.
        format: One picture with all of them, or a folder with a PNG each.
        label: The class that they are of, by its name, where the run learned classes (default: in
            a grid a row of each, at least n in all; in a folder as many of each as in training).
        runs_dir: Folder with the run folders.
    """
    from genbench import load
    from genbench.classes import ROW
    from genbench.files import writing
    from genbench.images import channels_last, to_bytes
    from genbench.prior import check_draw
    from genbench.resume import find_run

    target = Path(out).expanduser()
    check_draw(n, seed, truncation)
    if format == "grid":
        _kind(target)
    if format == "png-folder" and out == "grid.png":
        target = Path("samples")
    if format == "png-folder" and target.is_dir() and any(target.iterdir()):
        raise UserError(
            f"out={target}: has files, which would count as samples; name an empty or a new folder"
        )
    folder = find_run(run, runs_dir)
    model = load(folder, "cpu")  # the same pictures on every machine
    as_grid, lines = format == "grid", -(-n // ROW)
    if interpolate:
        y, columns = model.classes.labels(label, lines) if label else None, ROW
        ways = model.interpolate_samples(lines, seed, ROW, truncation, y)
        images = to_bytes(ways.flatten(0, 1))
    else:
        y, columns = _labels(model.classes, n, label, as_grid)
        images = model.sample_bytes(n if y is None else len(y), seed, truncation, y)
    pictures = channels_last(images)
    with writing(f"out={out}"):
        _save(pictures, target, columns if as_grid else 0)
    print(f"{len(pictures)} pictures of {folder.name}: {target}")


def _labels(classes: "Classes", n: int, label: str, as_grid: bool) -> tuple["Tensor | None", int]:
    """The labels (N,) of n pictures, None: as in training; and a grid's columns.

    A grid of all classes has a row for each, and n pictures at least.
    """
    from genbench.classes import MOST_ROWS, ROW

    if label:
        return classes.labels(label, n), ROW
    if not (as_grid and classes):
        return None, ROW
    if len(classes) > MOST_ROWS:
        say(f"the first {MOST_ROWS} of {len(classes)} classes; --label names another")
    columns = -(-n // min(MOST_ROWS, len(classes)))
    return classes.rows(columns), columns


def _save(pictures: "np.ndarray", target: Path, columns: int) -> None:
    """Pictures (N, H, W[, 3]) `uint8` as one file of so many columns; 0: a folder of PNGs."""
    from PIL import Image

    from genbench.files import whole
    from genbench.images import tile

    if not columns:
        target.mkdir(parents=True, exist_ok=True)
        for i, picture in enumerate(pictures):
            with whole(target / f"{i:05d}.png") as file:
                Image.fromarray(picture).save(file, "PNG")
        return
    kind = _kind(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole(target) as file:
        Image.fromarray(tile(pictures, min(columns, len(pictures)))).save(file, kind)


def _kind(target: Path) -> str:
    """The kind of picture that a file's name says, or a `UserError`."""
    from PIL import Image

    kind = Image.registered_extensions().get(target.suffix.lower(), "")
    if kind not in Image.SAVE:
        raise UserError(f"out={target}: no kind of picture ends so; name one such as grid.png")
    return kind


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
    from genbench.evaluate.runs import keep, load_candidates
    from genbench.evaluate.show import model_lines, show_classes, show_table
    from genbench.metrics.extractors import check_extractor
    from genbench.metrics.table import chosen
    from genbench.resume import find_run

    chosen(options.metrics)  # an unknown one is refused before anything is read
    check_extractor(options.extractor, options.extractor_weights)
    if fakes:
        for table in evaluate_folders(Path(fakes).expanduser(), Path(reals).expanduser(), options):
            show_table(table)
        return
    candidates = load_candidates([find_run(run, runs_dir) for run in runs], options)
    whole = False
    try:
        for table in evaluate_models(candidates, options):
            show_table(table)
        print()
        for candidate in candidates:
            show_classes(candidate)
            for line in model_lines(candidate):
                print(line, flush=True)
        whole = True
    finally:  # Ctrl-C keeps what was found
        for candidate in candidates:
            if candidate.findings:
                keep(candidate, options, whole)


def doctor(runs_dir: str = "runs", /, clean: bool = False) -> None:
    """Say what this machine has for a training, and what is unfinished, damaged or left behind.

    Args:
        runs_dir: Folder with the run folders.
        clean: Remove what killed writers left half written; never a record.
    """
    from genbench.doctor import examine

    examine(runs_dir, clean)


def main() -> None:
    """Entry point of `genbench`: a subcommand for each function here and in start.py."""
    if sys.argv[1:] == ["--version"]:
        print(f"genbench {__version__}")
        return
    for command in (train, search):
        if sys.argv[1:2] == [command.__name__]:  # tyro would take the family's flags for its own
            guard(functools.partial(command, *sys.argv[2:]), together=command is train)
            return
    import tyro

    starting = (train, resume, search, sweep, storage)
    others = (runs, report, ui, sample, evaluate, sync, workspace, data, doctor)
    commands: tuple[Callable[..., None], ...] = starting + others
    configured = tyro.conf.configure(tyro.conf.FlagConversionOff)
    named = {command.__name__: configured(command) for command in commands}
    as_flags = tyro.conf.configure(tyro.conf.FlagCreatePairsOff)
    named |= {"doctor": as_flags(doctor), "runs": as_flags(runs)}
    if sys.argv[1:] and sys.argv[1] in named:  # what is wrong is said of this one alone
        named = {sys.argv[1]: named[sys.argv[1]]}
    guard(
        lambda: tyro.extras.subcommand_cli_from_dict(
            named, prog="genbench", use_underscores=True, config=(tyro.conf.OmitArgPrefixes,)
        ),
        together=sys.argv[1:2] == [resume.__name__],
    )
