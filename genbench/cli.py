"""The experiments' command lines: parsing, clear endings, results. Imports are lazy."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TypeVar

from genbench import UserError, environment
from genbench.config import Config, SearchConfig
from genbench.console import print_table

if TYPE_CHECKING:
    from genbench.search.search import Search

T = TypeVar("T")


def parse(kind: type[T]) -> T:
    """Read a configuration dataclass from the command line; flags as W&B's agent writes them."""
    import tyro

    return tyro.cli(kind, config=(tyro.conf.FlagConversionOff,), use_underscores=True)


def guard(main: Callable[[], None]) -> None:
    """Run `main`; bad input is one line and exit code 2, Ctrl-C and SIGTERM end in good order."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `genbench runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        print("interrupted; what is done is kept", file=sys.stderr)
        sys.exit(130)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def train_main(kind: type[Config]) -> None:
    """Train what the command line says, and print the scores of its best epoch."""

    def main() -> None:
        config = parse(kind)
        from genbench.handlers import Diverged
        from genbench.train import train

        try:
            scores = train(config)
        except Diverged as error:
            sys.exit(f"failed: {error}")
        for name, value in scores.items():
            print(f"{name:24} {value:.4f}")

    guard(main)


def search_main(kind: type[Config], sweep: Path) -> None:
    """Search as the command line says, train the best over new seeds, and print both."""

    def main() -> None:
        options = parse(SearchConfig)
        from genbench.families import FAMILIES
        from genbench.search.search import Search
        from genbench.sweep import read_sweep

        path = Path(options.sweep) if options.sweep else sweep
        search = Search(
            read_sweep(path, FAMILIES.find(kind.model, "model"), options.given), options
        )
        if elsewhere := run_search(search):
            print(f"{elsewhere} trials run elsewhere to the last; their search trains the best")
            return
        print_scores(search.train_best())
        print(f"genbench report --runs_dir={options.runs_dir} writes the summary")

    guard(main)


def run_search(search: "Search") -> int:
    """Add the trials and print the best, also after Ctrl-C; how many trials still run elsewhere."""
    environment.offer(WANDB_PROJECT=search.sweep.project, WANDB_ENTITY=search.sweep.entity)
    elsewhere = 0
    try:
        search.run()
        elsewhere = search.elsewhere()
    except KeyboardInterrupt:
        if search.completed():
            print_best(search)
        print("the same command again goes on with this study")
        raise
    if search.completed() or not elsewhere:
        print_best(search)
    return elsewhere


def print_best(search: "Search") -> None:
    """The best trial's hyper-parameters as a table."""
    best = search.best()
    named = zip(search.objectives, best.values, strict=True)
    values = ", ".join(f"{name} {value:.5g}" for name, value in named)
    rows = [
        [name, f"{value:.4g}" if isinstance(value, float) else str(value)]
        for name, value in best.params.items()
    ]
    print_table(
        ["hyper-parameter", "value"], rows, f"Best of {search.name}: trial {best.number}, {values}"
    )
    print(flush=True)


def print_scores(scores: list[dict[str, float]]) -> None:
    """Mean and standard deviation over the seeds of every test score."""
    from genbench.stats import Sample

    names = [name for name in scores[0] if name.startswith("test/")]
    samples = {name: Sample.of(score[name] for score in scores) for name in names}
    print_table(
        ["", "mean ± std"],
        [[name, sample.show(4)] for name, sample in samples.items()],
        f"Test split, mean ± std over {len(scores)} training seeds:",
    )
