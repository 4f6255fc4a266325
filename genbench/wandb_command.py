"""The commands of `genbench` that speak with W&B's server. Imports are lazy."""

from genbench import UserError


def sync(runs: tuple[str, ...], /, runs_dir: str = "runs", timeout: float = 120.0) -> None:
    """Upload runs to W&B, whole, from their folders: scalars, pictures, tables and scores.

    What W&B has already is not sent again; a run that was never online, or whose server failed,
    was stopped or was killed, becomes the run that it would have been.

    Args:
        runs: Folders of runs, or their names below runs_dir; studies/NAME is a search.
        runs_dir: Folder with the run folders.
        timeout: Seconds that the server may take for the rest of a run once all is on its way.
    """
    if not runs:
        raise UserError("name runs, such as runs/2*")
    from genbench.record.sync import sync as upload
    from genbench.resume import find_run

    upload([find_run(run, runs_dir) for run in runs], timeout)


def workspace(
    runs_dir: str = "runs", project: str = "", entity: str = "", name: str = "genbench"
) -> None:
    """Make a saved view and a report in W&B, whose charts are in the order in which one looks.

    Needs genbench[workspace], a key, and W&B's server. Each call makes new ones.

    Args:
        runs_dir: Folder with the run folders: charts are made for the models that were trained
            here, or where there are none for all.
        project: W&B's project (default: $WANDB_PROJECT, else genbench).
        entity: W&B's user or team (default: $WANDB_ENTITY, else yours).
        name: What the view and the report are called.
    """
    try:
        from genbench.workspace import make
    except ImportError as error:
        raise UserError(
            "genbench workspace: pip install 'genbench[workspace]' has wandb-workspaces"
        ) from error
    for what, url in make(runs_dir, project, entity, name).items():
        print(f"{what + ':':8}{url}")
