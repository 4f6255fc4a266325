"""Run records in, figures, summary.md and summary.html out; needs neither torch nor W&B."""

import base64
from pathlib import Path
from typing import Any

import jinja2

from genbench import UserError
from genbench.report import figures
from genbench.report.conclusion import conclude
from genbench.report.select import Chapter, choose
from genbench.report.tables import hyperparameters, notes, scores


def write_report(runs_dir: str, out: str, data: str = "") -> Path:
    """Write figures/, summary.md and summary.html to `out` from the records in `runs_dir`.

    Args:
        runs_dir: Folder of run folders.
        out: Folder to write to; made if need be.
        data: The data set to report on; empty: the one with the most finished runs.

    Returns:
        The path of summary.html.

    Raises:
        UserError: Nothing to report, or `out` cannot be written.
    """
    chapter = choose(runs_dir, data)
    folder = Path(out).expanduser()
    try:
        return _write(chapter, folder)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written ({error}); name another") from error


def _write(chapter: Chapter, folder: Path) -> Path:
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    sections: dict[str, list[figures.Drawn]] = {}
    for drawn in figures.draw_all(chapter, folder / "figures"):
        sections.setdefault(drawn.heading, []).append(drawn)
    content = {
        "chapter": chapter,
        "conclusion": conclude(chapter),
        "scores": scores(chapter),
        "notes": notes(chapter),
        "hyperparameters": hyperparameters(chapter),
        "sections": sections,
    }
    page = folder / "summary.html"
    (folder / "summary.md").write_text(_render("summary.md.j2", content, escape=False))
    page.write_text(_render("summary.html.j2", content, escape=True))
    return page


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
