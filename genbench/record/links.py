"""One folder of links to the W&B records of all runs, which `wandb leet` shows together."""

import contextlib
from pathlib import Path

LINKS = "wandb"  # below the runs folder


def link(run: Path) -> None:
    """Link the W&B records of a run in <runs_dir>/wandb, by their own names.

    Where the system has no links, or the folder cannot be written, nothing happens.
    """
    place = run.parent / LINKS
    with contextlib.suppress(OSError, NotImplementedError):
        for record in (run / "wandb").glob("*run-*-*"):
            at = place / record.name
            if record.is_dir() and not at.is_symlink():
                place.mkdir(exist_ok=True)
                at.symlink_to(Path("..") / run.name / "wandb" / record.name, True)


def link_all(runs_dir: str | Path) -> Path | None:
    """Link those of all runs, and forget those that are gone; the folder, if it has any."""
    folder = Path(runs_dir).expanduser()
    for config in folder.glob("*/config.json"):
        link(config.parent)
    links = [path for path in (folder / LINKS).glob("*run-*") if path.is_symlink()]
    with contextlib.suppress(OSError):
        for path in links:
            if not path.exists():
                path.unlink()
    return folder / LINKS if any(path.exists() for path in links) else None
