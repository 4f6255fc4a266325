"""Run records in, figures, summary.md and summary.html out; needs neither torch nor W&B."""

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from genbench import UserError
from genbench.report import (
    conclusion,
    figures,
    gan_conclusion,
    gan_figures,
    gan_tables,
    samples,
    tables,
)
from genbench.report.drawing import Drawn, Plan, draw_all
from genbench.report.gan import GANChapter, choose_gan
from genbench.report.select import Chapter, choose


@dataclass(frozen=True)
class Table:
    """Rows of text, a header first, under a heading and above its notes."""

    name: str  # in the list of contents
    heading: str
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """What a part of the report says, ready for the templates."""

    data: str
    title: str
    conclusion: list[str]
    tables: list[Table]
    sections: dict[str, list[Drawn]]


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
    chapter, gans = choose(runs_dir, data), choose_gan(runs_dir, data)
    scored = samples.choose_samples(runs_dir, data)
    if not chapter and not gans:
        what = f"finished run on {data}" if data else "finished run"
        raise UserError(f"runs_dir={runs_dir}: no {what} to report on; train one first")
    folder = Path(out).expanduser()
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        parts = [_codes(chapter, folder)] if chapter else []
        parts += [_gans(gans, folder)] if gans else []
        parts += [_samples(scored, folder)] if scored else []
        return _write(parts, folder)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written ({error}); name another") from error


def _codes(chapter: Chapter, folder: Path) -> Part:
    """Part 1: AE and VAE."""
    titles = " and ".join(entry.title for entry in chapter.entries)
    heading = f"Scores on the {chapter.split} split"
    return Part(
        chapter.data,
        f"{titles} on {chapter.data}",
        conclusion.conclude(chapter),
        [
            Table("Scores", heading, tables.scores(chapter), tables.notes(chapter)),
            _hyperparameters(tables.hyperparameters(chapter.entries)),
        ],
        _sections(figures.plan(chapter), folder),
    )


def _gans(chapter: GANChapter, folder: Path) -> Part:
    """Part 2: GANs."""
    stability = gan_tables.stability(chapter), gan_tables.stability_notes()
    return Part(
        chapter.data,
        f"GAN on {chapter.data}",
        gan_conclusion.conclude(chapter),
        [
            Table("Scores", "Scores", gan_tables.scores(chapter), gan_tables.notes(chapter)),
            Table("Stability", "Stability", *stability),
            _hyperparameters(gan_tables.hyperparameters(chapter.entries)),
        ],
        _sections(gan_figures.plan(chapter), folder),
    )


def _samples(chapter: samples.SamplesChapter, folder: Path) -> Part:
    """Part 3: all families against the same pictures."""
    shown = [
        Table(
            f"Against {one.title}",
            f"Against {one.title}",
            samples.score_rows(one),
            samples.notes(one),
        )
        for one in chapter.tables
    ]
    if likelihoods := samples.likelihood_rows(chapter):
        shown.append(Table("Likelihood", "Likelihood of held-out pictures", likelihoods))
    sections: dict[str, list[Drawn]] = {}
    for drawn in samples.pairs(chapter, folder / "figures"):
        sections.setdefault(drawn.heading, []).append(drawn)
    title = f"Samples against real pictures on {chapter.data}"
    return Part(chapter.data, title, samples.conclude(chapter), shown, sections)


def _hyperparameters(rows: list[list[str]]) -> Table:
    return Table("Hyper-parameters", "Hyper-parameters", rows)


def _sections(plan: Plan, folder: Path) -> dict[str, list[Drawn]]:
    """The plan's figures, drawn, under their headings."""
    sections: dict[str, list[Drawn]] = {}
    for drawn in draw_all(plan, folder / "figures"):
        sections.setdefault(drawn.heading, []).append(drawn)
    return sections


def _write(parts: list[Part], folder: Path) -> Path:
    page = folder / "summary.html"
    (folder / "summary.md").write_text(_render("summary.md.j2", {"parts": parts}, escape=False))
    page.write_text(_render("summary.html.j2", {"parts": parts}, escape=True))
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
