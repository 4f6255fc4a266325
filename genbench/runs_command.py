"""`genbench runs`: what was trained, as a table; two runs beside each other; runs removed."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench import UserError
from genbench.console import counted, print_table, say

if TYPE_CHECKING:
    from genbench.runs import Row

MOST_COLUMNS = 8  # of the configuration, in a table


def runs(
    words: tuple[str, ...] = (),
    /,
    runs_dir: str = "runs",
    model: str = "",
    where: str = "",
    sort: str = "created",
    json: bool = False,
    csv: bool = False,
    checkpoints: bool = False,
    yes: bool = False,
) -> None:
    """Print a table of the runs, compare some, or remove some.

    `genbench runs compare RUN RUN` prints what differs and all scores side by side; `genbench runs
    rm RUN` says what removing runs, or with --checkpoints those alone, would free, and --yes does.

    Args:
        words: Nothing, or compare or rm and the runs: folders, or names below runs_dir.
        runs_dir: Folder with the run folders.
        model: Only runs of this family.
        where: Only runs for which all of this holds: status=finished,lr>=0.001; a name is status,
            epochs, seconds, score, a field of the configuration, or a score such as val/elbo; a
            sign = != < <= > >= or ~ (contains).
        sort: By which name, the best score or the smallest value first; -name turns it around.
        json: Print JSON, with the whole configuration and all scores.
        csv: The same as CSV.
        checkpoints: rm: Remove checkpoints, and keep the record.
        yes: rm: Do it; without, it is said what would be removed.
    """
    from genbench.record.links import link_all
    from genbench.resume import find_run
    from genbench.runs import chosen, ordered

    action, *names = words or ("",)
    if action not in ("", "compare", "rm"):
        raise UserError(f"runs {action}: unknown; `genbench runs`, `runs compare` or `runs rm`")
    if json and csv:
        raise UserError("--json and --csv: choose one")
    folders = [find_run(name, runs_dir) for name in names]
    if names and (where or model):
        raise UserError("name runs, or choose some with --where and --model, not both")
    if action == "rm":
        if not (names or where or model):
            raise UserError("runs rm: name runs, or choose some with --where or --model")
        if not names:
            folders = [row.record.path for row in chosen(_rows(runs_dir), model, where)]
        _remove(folders, checkpoints, yes)
        return
    if action == "compare":
        _compare([_row(folder) for folder in folders])
        return
    rows = ordered(chosen(_rows(runs_dir), model, where), sort)
    if json or csv:
        (_print_json if json else _print_csv)(rows)
    elif rows:
        _print(rows, link_all(runs_dir))
    else:
        found = "no run that is asked for" if model or where else "no runs yet"
        say(f"runs_dir={runs_dir}: {found}; `genbench train vae` makes one")


def _rows(runs_dir: str) -> "list[Row]":
    from genbench.record import read_runs
    from genbench.runs import Row

    return [Row(record) for record in read_runs(runs_dir)]


def _row(folder: Path) -> "Row":
    from genbench.record import read_run
    from genbench.runs import Row

    record = read_run(folder)
    if not record:
        raise UserError(f"{folder}: no run folder; `genbench runs` lists those that are there")
    return Row(record)


def _print(rows: "Sequence[Row]", together: Path | None) -> None:
    """The table, the columns of the configuration that differ among them."""
    from genbench.runs import differing, scalar_of, show

    columns = differing(rows)
    more = columns[MOST_COLUMNS:]
    columns = columns[:MOST_COLUMNS]
    objectives = {str(row["objective"]) for row in rows}
    one = objectives.pop() if len(objectives) == 1 else ""
    models = len({row.record.model for row in rows}) > 1
    table = []
    for row in rows:
        objective = str(row["objective"])
        score = show(row["score"], scalar_of(row.record.model, objective))
        named = score if one or not score else f"{objective} {score}"
        own = [str(row["run"]), str(row["status"])] + [row.record.model] * models
        done = [_progress(row), f"{row['seconds']:.0f}" if row["seconds"] else ""]
        table.append([*own, *(show(row[name]) for name in columns), *done, named])
    header = ["run", "status"] + ["model"] * models
    print_table([*header, *columns, "epochs", "seconds", one or "score"], table)
    if more:
        say(f"and differ in {', '.join(more)}; --csv has all")
    if together:
        print(f"wandb leet {together}    shows all of them in W&B's charts, in the terminal")


def _progress(row: "Row") -> str:
    """Epochs done, and of how many where they are fewer."""
    done, wanted = row["epochs"], row.record.config.get("epochs", 0)
    return f"{done}/{wanted}" if isinstance(wanted, int) and wanted != done else str(done)


def _compare(rows: "Sequence[Row]") -> None:
    """What differs between runs, and the scores that any of them has."""
    from genbench.runs import by_importance, scalar_of, show, told

    if len(rows) < 2:
        raise UserError("runs compare: name two runs or more")
    names = [str(row["run"]) for row in rows]
    model, objective = rows[0].record.model, str(rows[0]["objective"])
    own = ("model", "status", "epochs", "seconds")
    facts = [[name, *(show(row[name]) for row in rows)] for name in (*own, *told(rows))]
    scores = sorted(
        {name for row in rows for name in row.record.scores}, key=by_importance(model, objective)
    )
    print_table(["", *names], facts, "What differs")
    values = [
        [
            name,
            *(show(row.record.scores.get(name), scalar_of(row.record.model, name)) for row in rows),
        ]
        for name in scores
    ]
    print_table(["", *names], values, "Scores of the best epoch")
    if len({row.record.about.get("data_hash") for row in rows}) > 1:
        say("their data are not the same: the scores are of unlike pictures")


def _print_json(rows: "Sequence[Row]") -> None:
    from genbench.files import to_json

    whole = [row.facts | {"config": row.record.config, "scores": row.record.scores} for row in rows]
    print(to_json(whole, indent=1))


def _print_csv(rows: "Sequence[Row]") -> None:
    import csv

    names = dict.fromkeys(name for row in rows for name in row.facts)
    names |= dict.fromkeys(name for row in rows for name in row.record.config)
    names |= dict.fromkeys(sorted({name for row in rows for name in row.record.scores}))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([row[name] for name in names] for row in rows)


def _remove(folders: Sequence[Path], only_checkpoints: bool, yes: bool) -> None:
    """Remove run folders or their checkpoints, or say what that would remove.

    Raises:
        UserError: One is no run folder, or still runs: nothing is removed then.
    """
    from genbench.files import writing
    from genbench.record import is_running

    for folder in folders:
        _row(folder)
        if is_running(folder):
            raise UserError(f"{folder}: this run is still running; stop it first")
    targets = [folder / "checkpoints" if only_checkpoints else folder for folder in folders]
    targets = [target for target in targets if target.is_dir()]
    sizes = [_bytes(target) for target in targets]
    rows = [[str(t), f"{size / 1e6:.1f}"] for t, size in zip(targets, sizes, strict=True)]
    if rows:
        print_table(["folder", "MB"], rows)
    total = f"{counted(len(targets), 'folder')}, {sum(sizes) / 1e6:.1f} MB"
    if not yes:
        print(f"{total}: nothing was removed; --yes removes them for good")
        return
    for target in targets:
        with writing(str(target)):
            shutil.rmtree(target)
    print(f"{total}: removed")


def _bytes(folder: Path) -> int:
    files: Any = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)
