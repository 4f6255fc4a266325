"""Run records in, figures, summary.md and summary.html out; needs neither torch nor W&B.

`choice` makes parts of the runs, each a list of groups; every section of `sections.SECTIONS` is
given each part, and gives what the records hold for it.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from genbench import UserError
from genbench.record import Record, read_runs, read_studies
from genbench.report.choice import make_parts
from genbench.report.drawing import save
from genbench.report.evaluated import find_evaluated
from genbench.report.group import Study
from genbench.report.part import Content, Drawing, Part
from genbench.report.sections import SECTIONS


@dataclass(frozen=True)
class Page:
    """A part of the report with what all sections say of it, ready for the templates."""

    part: Part
    contents: list[Content]

    @property
    def conclusion(self) -> list[str]:
        """The sentences of all sections."""
        return [said for content in self.contents for said in content.sentences if said]

    @property
    def shown(self) -> list[Content]:
        """The sections that have more than sentences."""
        return [content for content in self.contents if content.table or content.figures]


def write_report(runs_dir: str, out: str, data: str = "") -> Path:
    """Write figures/, summary.md and summary.html to `out` from the records in `runs_dir`.

    Args:
        runs_dir: Folder of run folders.
        out: Folder to write to; made if need be.
        data: The data set to report on; empty: of each part the one with the most finished runs.

    Returns:
        The path of summary.html.

    Raises:
        UserError: Nothing to report, or `out` cannot be written.
    """
    pages = make_pages(read_runs(runs_dir), read_studies(runs_dir), data)
    if not pages:
        what = f"finished run on {data}" if data else "finished run"
        raise UserError(f"runs_dir={runs_dir}: no {what} to report on; train one first")
    folder = Path(out).expanduser()
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        return _write(pages, folder)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written ({error}); name another") from error


def make_pages(records: Sequence[Record], studies: Sequence[Study], data: str = "") -> list[Page]:
    """What there is to say of all runs and searches (on `data`, if given), nothing drawn yet."""
    parts = make_parts(records, studies, data)
    if parts and (evaluated := find_evaluated(records, data)):
        name = evaluated[0].runs[0].config["data"]
        title = f"Samples against real pictures on {name}"
        parts.append(Part(title, name, evaluated=evaluated))
    return [Page(part, [c for section in SECTIONS for c in section(part)]) for part in parts]


def _write(pages: list[Page], folder: Path) -> Path:
    """Draw the figures and render both templates around them."""
    files: dict[int, Path] = {}  # of each drawing, by identity
    for page in pages:
        for figure in (figure for content in page.contents for figure in content.figures):
            files[id(figure)] = _free(figure, folder / "figures", list(files.values()))
            save(figure.draw, files[id(figure)])
    content = {"pages": pages, "file": lambda figure: files[id(figure)]}
    path = folder / "summary.html"
    (folder / "summary.md").write_text(_render("summary.md.j2", content, escape=False))
    path.write_text(_render("summary.html.j2", content, escape=True))
    return path


def _free(figure: Drawing, folder: Path, taken: list[Path]) -> Path:
    """Where a figure goes: by its name; behind its family's where that is taken."""
    path = folder / f"{figure.name}.png"
    return path if path not in taken else folder / f"{figure.family}_{figure.name}.png"


def _render(name: str, content: dict[str, Any], escape: bool) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("genbench.report", "."),
        autoescape=escape,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["embed"] = _embed
    return environment.get_template(name).render(content)


def _embed(path: Path) -> str:
    """A PNG as a data URL, so that the page is one file."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
