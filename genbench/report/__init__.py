"""Run records in, figures, summary.md and summary.html out; needs neither torch, W&B nor Optuna.

`choice` makes parts of the runs, each a list of groups; every section of `sections.SECTIONS` is
given each part, and gives what the records hold for it. `overview` answers first: a table a data
set.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genbench import UserError, signals
from genbench.console import listed, say_once
from genbench.fields import words
from genbench.files import writing
from genbench.record import Contest, Record, Study, read_contests, read_runs, read_studies
from genbench.report.choice import make_parts
from genbench.report.evaluated import find_evaluated
from genbench.report.group import data_title, family_title
from genbench.report.leaderboard import write_leaderboard
from genbench.report.numbers import write_numbers
from genbench.report.overview import answer
from genbench.report.page import write
from genbench.report.part import Content, Drawing, Page, Part, in_order
from genbench.report.sections import SECTIONS
from genbench.report.sections.contest import Sides, side_names, sides_of
from genbench.report.sections.scores import certainty
from genbench.report.sections.search import is_whole
from genbench.stats import Claims

TOGETHER = (
    "The {} comparisons of which a p is named or would be are judged together (Holm 1979): the "
    "chance that any two which are equal are said to differ is at most 5 %. Scores of which less "
    "is better, where they are positive, are compared by their ratio, as logarithms: their spread "
    "grows with their size. What is said of floors and of copies is not part of that."
)


@signals.noted()
def write_report(
    runs_dir: str, out: str, data: str = "", originals: bool = True, private: str = ""
) -> Path:
    """Write figures/, summary.md and summary.html to `out` from the records in `runs_dir`.

    And numbers.json, the scores behind it; leaderboard.md where there are contests on that data.

    Args:
        runs_dir: Folder of run folders.
        out: Folder to write to; made if need be.
        data: The data sets to report on, by commas; empty: of each part the one with the most
            finished runs.
        originals: Also draw the figures that have real pictures in them.
        private: Data sets, by commas, of which no real picture is drawn; folders by their own
            name, or as `folder`.

    Returns:
        The path of summary.html.

    Raises:
        UserError: Nothing to report; or of a private data set there is nothing.
        DiskError: `out` cannot be written.
    """
    runs, studies, claims = read_runs(runs_dir), read_studies(runs_dir), Claims()
    contests = [c for c in read_contests(runs_dir) if not data or c["data"] in words(data)]
    for _ in range(2):  # what is claimed depends on all that is compared
        pages = make_pages(runs, studies, data, contests, claims)
        report = make_report(pages) if pages else None
        claims.judge()
    folder = Path(out).expanduser()
    pictures = (*(folder / "figures").glob("*.png"), *(folder / "figures").glob("*.gif"))
    if (private or not originals) and (old := sorted(pictures)):
        raise UserError(
            f"out={out}: figures/{old[0].name} is of an earlier report and may show real pictures; "
            "remove figures/, or name another --out"
        )
    if not report:
        what = f"finished run on {data}" if data else "finished run"
        raise UserError(f"runs_dir={runs_dir}: no {what} to report on; train one first")
    pages = _public(pages, originals, words(private))
    with writing(f"out={out}"):
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        write_leaderboard(contests, list(filter(_is_told, runs)), folder)
        write_numbers([part for part, _ in pages], folder)
    return write(replace(report, pages=pages), folder)


@dataclass(frozen=True)
class Report:
    """All that is said: the title, an answer a data set, the parts, and how sure that is."""

    title: str
    answers: list[Content]
    pages: list[Page]
    sure: list[Content]

    @property
    def drawings(self) -> list[Drawing]:
        """Every figure, in the order of the page."""
        of_pages = [content for _, contents in self.pages for content in contents]
        return [drawing for c in (*self.answers, *of_pages) for drawing in c.drawings]


def make_report(pages: list[Page]) -> Report:
    """The answer before the parts, and behind them how sure it is; nothing is drawn yet."""
    parts = [part for part, _ in pages]
    models = in_order(
        [group.model for part in parts for group in part.groups]
        + [one.runs[0].model for part in parts for one in part.evaluated]
    )
    of: dict[str, list[Part]] = {}
    for part in parts:
        of.setdefault(part.data_title, []).append(part)
    answers = [answer(data, found) for data, found in of.items()]
    sure = [Content(part.title, notes=notes) for part in parts if (notes := certainty(part))]
    if (n := len(parts[0].claims)) > 1:
        sure.append(Content("All parts", notes=[TOGETHER.format(n)]))
    names = listed(list(map(family_title, models)))
    return Report(f"{names} on {listed(list(of))}", answers, pages, sure)


def make_pages(
    records: Sequence[Record],
    studies: Sequence[Study],
    data: str = "",
    contests: Sequence[Contest] = (),
    claims: Claims | None = None,
) -> list[Page]:
    """What there is to say of all runs and searches, nothing drawn yet.

    Args:
        records: Of runs.
        studies: Of searches.
        data: As for `write_report`.
        contests: Of these runs.
        claims: What all sentences compare is entered here, and judged by it.
    """
    claims = Claims() if claims is None else claims
    records = [record for record in records if _is_told(record)]
    studies = [study for study in studies if is_whole(study)]
    sides = side_names(contests)
    parts: list[Part] = []
    for name in words(data) or [""]:
        parts += make_parts(records, studies, name, sides)
        if parts and (evaluated := find_evaluated(records, name, sides)):
            config = evaluated[0].runs[0].config
            title = f"Who generates best on {data_title(config)}?"
            parts.append(Part(title, config["data"], evaluated=evaluated))
    for contest in contests:
        parts = _with_contest(parts, contest, sides_of(contest, records))
    parts = [replace(part, claims=claims) for part in parts]
    return [(part, [c for section in SECTIONS for c in section(part)]) for part in parts]


def _public(pages: list[Page], originals: bool, private: Sequence[str]) -> list[Page]:
    """The pages without figures of real pictures, of private data sets or of all.

    Raises:
        UserError: There is no page on a private one: a typo would show all its pictures.
    """
    known = {part.data_title: part.data for part, _ in pages}
    for name in private:
        if name not in (*known, *known.values()):
            there = listed(sorted(known))
            raise UserError(f"private={name!r}: nothing of it to report on; there is {there}")
    return [
        (part, contents)
        if originals and not {part.data, part.data_title} & {*private}
        else (part, [_without_real(content) for content in contents])
        for part, contents in pages
    ]


def _without_real(content: Content) -> Content:
    """What a section says, without figures of real pictures."""
    return replace(content, figures=[figure for figure in content.figures if not figure.real])


def _with_contest(parts: list[Part], contest: Contest, sides: Sides) -> list[Part]:
    """The parts, the contest whole in the one of its data that most of its sides belong to."""

    def shared(part: Part) -> int:
        models = {group.model for group in part.groups}
        mine = [side for side in sides.values() if side.model in models]
        return len(mine) if part.data == contest["data"] else 0

    host = max(parts, key=shared, default=None)
    if not host or not shared(host):
        return parts
    whole = replace(host, contests=[*host.contests, (contest, sides)])
    return [whole if part is host else part for part in parts]


def _is_told(record: Record) -> bool:
    """Whether there is no score to report, or all that must be said beside one; else a line."""
    ended = record.status == "finished" or record.diverged
    if ended and record.lacks:
        say_once(f"{record.path}/config.json: lacks {', '.join(record.lacks)}; not reported")
    return not (ended and record.lacks)
