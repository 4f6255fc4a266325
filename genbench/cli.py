"""The experiments' command lines: parsing, clear endings, results. Imports are lazy."""

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from genbench import UserError, environment
from genbench.config import Config, SearchConfig, roles
from genbench.console import counted, print_table, say_end
from genbench.endings import guard as guard
from genbench.files import shown

if TYPE_CHECKING:
    from genbench.search.search import Search

T = TypeVar("T")
C = TypeVar("C", bound=Config)


def parse(kind: type[T], words: Sequence[str] | None = None, program: str | None = None) -> T:
    """Read a configuration dataclass from the command line; flags as W&B's agent writes them."""
    import tyro

    config = (tyro.conf.FlagConversionOff,)
    return tyro.cli(kind, prog=program, args=words, config=config, use_underscores=True)


def parse_training(
    kind: type[C], words: Sequence[str] | None = None, program: str | None = None
) -> tuple[C, Path | None]:
    """Read a training's command line: its configuration, and the run that it goes on with, if any.

    `--config` and `--resume` name a run whose configuration stands in place of the defaults.
    """
    import tyro

    from genbench.resume import find_run, read_config

    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--config", "--resume", "--runs_dir"):
        first.add_argument(flag, default="")
    named, _ = first.parse_known_args(words)
    folder = find_run(named.resume, named.runs_dir or "runs") if named.resume else None
    file = folder / "config.json" if folder else Path(named.config)
    default: Any = None
    if folder or named.config:
        flat = file.suffix in (".yaml", ".yml")
        default = read_flat(file, kind) if flat else read_config(file)
    if not isinstance(default, kind | None):
        raise UserError(f"{file}: a run of {default.model}, not of {kind.model}")
    note = "a run's config.json, or fields as flat YAML: the defaults; other flags win over them"
    again = "a run's folder, or its name in runs_dir: go on with it from its last checkpoint"
    command_line = dataclasses.make_dataclass(
        "CommandLine",
        [
            ("config", Annotated[str, tyro.conf.arg(help=note)], ""),
            ("resume", Annotated[str, tyro.conf.arg(help=again)], ""),
            # not kind() for a default, in which fields that follow from others are settled
            ("training", kind, default or dataclasses.MISSING),
        ],
        kw_only=True,
    )
    flags = (tyro.conf.FlagConversionOff, tyro.conf.OmitArgPrefixes)
    parsed: Any = tyro.cli(
        command_line, prog=program, args=words, config=flags, use_underscores=True
    )
    return parsed.training, folder


def read_flat(path: Path, kind: type[C]) -> C:
    """A configuration as flat YAML, a line a field; fields that it does not name have defaults.

    Raises:
        UserError: It cannot be read, is not flat, or a field or value cannot be.
    """
    from genbench.sweep.plain import Refused, read_plain, read_text

    try:
        plain = read_plain(read_text(path))
        fields = plain.content
        if not isinstance(fields, dict) or plain.twice:
            raise Refused(plain.twice[0][0] if plain.twice else 1, "a line a field, each once")
        unknown = [name for name in fields if name not in roles(kind)]
        if unknown:
            raise Refused(plain.lines[unknown[0],], f"{unknown[0]}: no field of {kind.model}")
        return kind(**fields)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    except Refused as error:
        raise UserError(f"{path}, line {error.line}: {error.text}") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def train_main(family: str) -> None:
    """What an experiment runs: `train_family` by its own command line."""
    guard(lambda: train_family(family), together=True)


def search_main(family: str) -> None:
    """What an experiment runs: `search_family` by its own command line."""
    guard(lambda: search_family(family))


def train_family(
    family: str, words: Sequence[str] | None = None, program: str | None = None
) -> None:
    """Train what the flags say, and print the scores of its best epoch.

    Args:
        family: Its name.
        words: The flags (default: those of the command line).
        program: What the help calls the program (default: as it was started).
    """
    from genbench.families import FAMILIES

    run_training(*parse_training(FAMILIES.find(family, "family").config, words, program))


def run_training(config: Config, resume: Path | None = None) -> None:
    """Train, or go on with a run, and print the scores of the best epoch.

    A run of a W&B sweep that was preempted here is gone on with.
    """
    from genbench.resume import at_home

    resume = _to_go_on_with(config, resume)
    if resume:
        config = at_home(resume, config)
    from genbench.handlers import Diverged
    from genbench.train import train

    folders: list[Path] = []

    def begun(folder: Path) -> None:
        folders.append(folder)
        print(f"Run: {shown(folder)}", flush=True)

    try:
        scores = train(config, resume=resume, begun=begun)
    except Diverged as error:
        say_end(f"failed: {error}")
        sys.exit(1)
    if environment.rank() == 0:
        print_run(folders[0], scores)


def _to_go_on_with(config: Config, resume: Path | None) -> Path | None:
    """The run that is gone on with, named or found, if any; several processes are of one mind."""
    from genbench.resume import check_resume, preempted

    def decide() -> Path | None:
        if resume:
            check_resume(resume, config)
        elif found := preempted(config):
            print(f"going on with {found}", flush=True)
            return found
        return resume

    if environment.processes() == 1:
        return decide()
    from genbench import parallel

    parallel.check(config.device, config.batch_size)
    parallel.start(config.device)
    return parallel.first(decide)


def print_run(folder: Path, scores: dict[str, float]) -> None:
    """The scores of a finished run, those that matter first, and what to do with it next."""
    from genbench.families import FAMILIES
    from genbench.metrics import ScoreName
    from genbench.record import read_run
    from genbench.runs import by_importance, scalar_of

    record = read_run(folder)
    if not record:
        return
    model = record.model
    parsed = {name: ScoreName.parse(name) for name in scores}
    told = [name for name in scores if not parsed[name].floor]
    rows = []
    for name in sorted(told, key=by_importance(model, record.about.get("objective", ""))):
        scalar, floor = scalar_of(model, name), scores.get(str(parsed[name].as_floor))
        beside = [] if floor is None else [scalar.show(floor)]
        rows.append([name + scalar.arrow, scalar.show(scores[name]), *beside])
    real = ["other real pictures"] if any(len(row) > 2 for row in rows) else []
    title = f"Epoch {record.summary.get('best_epoch')}, the best:"
    print_table([title, "score", *real], rows)
    if any(folder.glob("checkpoints/*.pt")):
        if "generate" in FAMILIES[model].can:
            print(f"Draw:  genbench sample {shown(folder)}")
        print(f"Score: genbench evaluate {shown(folder)}")
    print("Look:  genbench ui    Runs: genbench runs    Summary: genbench report")


def search_family(
    family: str, words: Sequence[str] | None = None, program: str | None = None
) -> None:
    """Search as the flags say, train the best over new seeds, and print both.

    The arguments are those of `train_family`.
    """
    options = parse(SearchConfig, words, program)
    from genbench.families import FAMILIES
    from genbench.sweep import find_sweep, read_sweep

    path = find_sweep(options.sweep or family)
    if not options.sweep and not path.is_file():
        raise UserError(f"sweep: none comes with genbench for {family}; name one with --sweep")
    sweep = read_sweep(path, FAMILIES.find(family, "family"), options.given)
    from genbench.search.record import show
    from genbench.search.search import Search

    search = Search(sweep, options)
    if elsewhere := run_search(search):
        trials = counted(elsewhere, "trial")
        print(f"{trials} still being run elsewhere; the search there trains the best")
        return
    with saying_how_to_go_on():
        if search.again:
            search.confirm()
            print_best(search)
        scores = search.train_best()
        rivals = search.train_defaults() if search.again else []
        search.write()
        show(search)
    print_scores(scores)
    if rivals:
        print_scores(rivals, "Of the defaults")
    print(f"Summary: genbench report --runs_dir={options.runs_dir}")


def run_search(search: "Search") -> int:
    """Add the trials and print the best, also after Ctrl-C; how many trials still run elsewhere."""
    environment.offer(WANDB_PROJECT=search.sweep.project, WANDB_ENTITY=search.sweep.entity)
    elsewhere = 0
    with saying_how_to_go_on():
        try:
            search.run()
            elsewhere = search.elsewhere()
        except KeyboardInterrupt:
            if search.completed():
                print_best(search)
            raise
    if search.completed() or not elsewhere:
        print_best(search)
    return elsewhere


@contextmanager
def saying_how_to_go_on() -> Iterator[None]:
    """After Ctrl-C in the block, the line how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        print("the same command again goes on with this study", flush=True)
        raise


def print_best(search: "Search") -> None:
    """The best trial's hyper-parameters as a table."""
    best = search.best()
    named = zip(search.objectives, best.values, strict=True)
    values = ", ".join(f"{name} {value:.5g}" for name, value in named)
    if (twice := search.confirmed.get(best.number)) is not None:
        values += f", mean over two seeds {twice:.5g}"
    rows = [
        [name, f"{value:.4g}" if isinstance(value, float) else str(value)]
        for name, value in best.params.items()
    ]
    print_table(
        ["hyper-parameter", "value"], rows, f"Best of {search.name}: trial {best.number}, {values}"
    )
    if search.options.pareto:
        front = counted(len(search.study.best_trials), "trial")
        print(f"of {front} beaten in both by none, the nearest to the best of each (as 0 to 1)")
    print(flush=True)


def print_scores(scores: list[dict[str, float]], whose: str = "Of the best") -> None:
    """Mean and standard deviation over the seeds of every test score."""
    from genbench.stats import Sample

    if not scores:
        print(f"{whose}: every training diverged")
        return
    names = [name for name in scores[0] if name.startswith("test/")]
    samples = {name: Sample.of(score[name] for score in scores) for name in names}
    print_table(
        ["", "mean ± std"],
        [[name, sample.show(4)] for name, sample in samples.items()],
        f"{whose}: test split, mean ± std over {len(scores)} training seeds:",
    )
