"""Run records in, figures, summary.md and summary.html out; needs neither torch nor W&B.

`choice` makes parts of the runs, each a list of groups; every section of `sections.SECTIONS` is
given each part, and gives what the records hold for it.
"""

import base64
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jinja2

from genbench import UserError, signals
from genbench.console import say_once
from genbench.files import whole, writing
from genbench.record import Contest, Record, Study, read_contests, read_runs, read_studies
from genbench.report.choice import make_parts
from genbench.report.drawing import save
from genbench.report.evaluated import find_evaluated
from genbench.report.part import Content, Part
from genbench.report.sections import SECTIONS
from genbench.report.sections.contest import sides_of
from genbench.report.sections.search import is_whole

Page = tuple[Part, list[Content]]  # a part, and what all sections say of it


@signals.noted()
def write_report(runs_dir: str, out: str, data: str = "", originals: bool = True) -> Path:
    """Write figures/, summary.md and summary.html to `out` from the records in `runs_dir`.

    Args:
        runs_dir: Folder of run folders.
        out: Folder to write to; made if need be.
        data: The data set to report on; empty: of each part the one with the most finished runs.
        originals: Also draw the figures that have real pictures in them.

    Returns:
        The path of summary.html.

    Raises:
        UserError: Nothing to report.
        DiskError: `out` cannot be written.
    """
    pages = make_pages(read_runs(runs_dir), read_studies(runs_dir), data, read_contests(runs_dir))
    folder = Path(out).expanduser()
    if not originals and (old := sorted((folder / "figures").glob("*.png"))):
        raise UserError(
            f"out={out}: figures/{old[0].name} is of an earlier report and may show real pictures; "
            "remove figures/, or name another --out"
        )
    if not originals:
        pages = [(part, [_without_real(c) for c in contents]) for part, contents in pages]
    if not pages:
        what = f"finished run on {data}" if data else "finished run"
        raise UserError(f"runs_dir={runs_dir}: no {what} to report on; train one first")
    with writing(f"out={out}"):
        (folder / "figures").mkdir(parents=True, exist_ok=True)
    return _write(pages, folder)


def make_pages(
    records: Sequence[Record],
    studies: Sequence[Study],
    data: str = "",
    contests: Sequence[Contest] = (),
) -> list[Page]:
    """What there is to say of all runs and searches (on `data`, if given), nothing drawn yet."""
    records = [record for record in records if _is_told(record)]
    studies = [study for study in studies if is_whole(study)]
    parts = [_with_contests(part, contests, records) for part in make_parts(records, studies, data)]
    if parts and (evaluated := find_evaluated(records, data)):
        name = evaluated[0].runs[0].config["data"]
        title = f"Samples against real pictures on {name}"
        parts.append(Part(title, name, evaluated=evaluated))
    return [(part, [c for section in SECTIONS for c in section(part)]) for part in parts]


def _without_real(content: Content) -> Content:
    """What a section says, without figures of real pictures."""
    return replace(content, figures=[figure for figure in content.figures if not figure.real])


def _with_contests(part: Part, contests: Sequence[Contest], records: Sequence[Record]) -> Part:
    """The part with the contests of its models on its data."""
    models = {group.model for group in part.groups}
    mine = [run for run in records if run.model in models]
    on_its_data = [contest for contest in contests if contest["data"] == part.data]
    found = [(contest, sides_of(contest, mine)) for contest in on_its_data]
    return replace(part, contests=[(contest, sides) for contest, sides in found if sides])


def _is_told(record: Record) -> bool:
    """Whether there is no score to report, or all that must be said beside one; else a line."""
    ended = record.status == "finished" or record.diverged
    if ended and record.lacks:
        say_once(f"{record.path}/config.json: lacks {', '.join(record.lacks)}; not reported")
    return not (ended and record.lacks)


def _write(pages: list[Page], folder: Path) -> Path:
    """Draw the figures, behind their family's name where theirs is taken; fill the templates."""
    files: dict[int, Path] = {}  # of each drawing, by identity
    for figure in (figure for _, contents in pages for c in contents for figure in c.figures):
        signals.check()
        name, family = figure.name, figure.family
        longer = name if name.startswith(family) else f"{family}_{name}"
        names = itertools.chain([name, longer], (f"{longer}-{k}" for k in itertools.count(2)))
        paths = (folder / "figures" / f"{name}.png" for name in names)
        files[id(figure)] = next(path for path in paths if path not in files.values())
        save(figure.draw, files[id(figure)])
    for kind in ("md", "html"):
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("genbench.report", "."),
            autoescape=kind == "html",
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
        )
        environment.filters["file"] = lambda figure: files[id(figure)]
        environment.filters["base64"] = lambda path: base64.b64encode(path.read_bytes()).decode()
        text = environment.get_template(f"summary.{kind}.j2").render(pages=pages)
        with whole(folder / f"summary.{kind}") as file:
            file.write(text.encode())
    return folder / "summary.html"
