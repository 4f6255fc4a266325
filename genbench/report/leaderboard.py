"""leaderboard.md: every named configuration after the same training time, a table a contest."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from genbench.files import whole
from genbench.metrics.table import METRICS, RANKED_BY
from genbench.record import Contest, Record
from genbench.report.group import data_title
from genbench.report.sections.contest import (
    LENGTH,
    Sides,
    compared_scores,
    floor_row,
    head,
    length,
    minutes,
    sides_of,
)

HEAD = """# Leaderboard

Each model of a table was trained for the same time on the same pictures, as so many steps as take
it on this machine, and is judged at the epoch that is best by validation, on pictures that none of
them saw. Best first by {}; mean over training seeds, in brackets its 95 % interval, which one seed
has not. Of other real pictures: the same scores of as many of them. A model gets its row by

    python experiments/contest.py --sides="its name" --seeds=3 --data=… --image_size=… --minutes=…

once it is one of `SIDES` there, and `genbench report`.
"""


def write_leaderboard(
    contests: Sequence[Contest], records: Sequence[Record], folder: Path
) -> Path | None:
    """Write leaderboard.md of all contests; None, and no file, where there are none.

    Args:
        contests: As they were read, of any data.
        records: All runs.
        folder: Where to.
    """
    found = [(contest, sides_of(contest, records)) for contest in contests]
    texts = [text for contest, sides in found if sides for text in _table(contest, sides)]
    if not texts:
        (folder / "leaderboard.md").unlink(missing_ok=True)
        return None
    with whole(folder / "leaderboard.md") as file:
        file.write("\n".join([HEAD.format(METRICS[RANKED_BY].title), *texts, ""]).encode())
    return folder / "leaderboard.md"


def _table(contest: Contest, sides: Sides) -> Iterator[str]:
    """A heading and the lines of a table, the best model first, other real pictures last."""
    names = compared_scores(sides)
    if not names:
        return
    run = next(run for group in sides.values() for run in group.runs)
    size = run.config.get("image_size") or run.about["shape"][-1]
    yield (
        f"\n## {data_title(run.config)}, {size} px, {minutes(contest)} each\n\n"
        f"{names[0].n} samples against {names[0].n} held-out pictures, by {names[0].extractor}.\n"
    )
    lines = [head(names), ["---", *["---:"] * (len(names) + len(LENGTH) - 1), "---"]]
    kid = next((str(name) for name in names if name.metric == RANKED_BY), str(names[0]))
    scored = {side: group.score(kid) for side, group in sides.items()}
    for side in sorted(sides, key=lambda side: s.mean if (s := scored[side]) else math.inf):
        group = sides[side]
        samples = [(METRICS[name.metric], group.score(str(name))) for name in names]
        shown = [s.show_interval(m.digits, within=m.within) if s else "none" for m, s in samples]
        lines.append([side, *shown, *length(contest["sides"][side], group)])
    lines.append(floor_row(names, sides))
    yield from (
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )
