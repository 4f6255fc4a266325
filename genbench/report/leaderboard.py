"""leaderboard.md: every named configuration after the same training time, a table a contest."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from genbench.files import whole
from genbench.metrics.table import METRICS, RANKED_BY
from genbench.record import Contest, Record
from genbench.report.sections.contest import Sides, compared_scores, sides_of, trouble

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
    runs = [run for group in sides.values() for run in group.runs]
    size = runs[0].config.get("image_size") or runs[0].about["shape"][-1]
    yield (
        f"\n## {contest['data']}, {size} px, {contest['minutes']:g} minutes each\n\n"
        f"{names[0].n} samples against {names[0].n} held-out pictures, by {names[0].extractor}.\n"
    )
    titles = [f"{METRICS[name.metric].title}{METRICS[name.metric].arrow}" for name in names]
    head = ["", *titles, "steps", "ms a step", "parameters", "seeds", "trouble"]
    lines = [head, ["---", *["---:"] * (len(head) - 2), "---"]]
    kid = next((str(name) for name in names if name.metric == RANKED_BY), str(names[0]))
    scored = {side: group.score(kid) for side, group in sides.items()}
    for side in sorted(sides, key=lambda side: s.mean if (s := scored[side]) else math.inf):
        group, rung = sides[side], contest["sides"][side]
        samples = [(METRICS[name.metric], group.score(str(name))) for name in names]
        lines.append(
            [
                side,
                *(s.show_interval(m.digits, within=m.within) if s else "—" for m, s in samples),
                f"{rung['steps']:,}",
                f"{rung['milliseconds']:.0f}",
                f"{rung['parameters']:,}",
                str(len(group.ended)),
                trouble(group),
            ]
        )
    known = runs[0].scores
    floors = [(METRICS[name.metric], known.get(str(name.as_floor))) for name in names]
    shown = ["—" if floor is None else metric.show(floor) for metric, floor in floors]
    lines.append(["other real pictures", *shown, *[""] * 5])
    yield from (
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )
