"""Drawing the figures of a report and filling its two templates."""

import base64
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from genbench import signals
from genbench.files import whole
from genbench.report.drawing import inline, save
from genbench.report.part import Content, Drawing

CONCLUSION = 5  # sentences
NUMBER = re.compile(
    r"\s*[-+]?[\d,.]+(e[-+]?\d+)?\s*(±.*|\[.*\]|\(searched\))?|inf|nan|—|\d+ of \d+", re.ASCII
)
EMBEDDED = 2_700_000  # characters of a page that are charts and pictures
TYPES = {".png": "image/png", ".gif": "image/gif"}


def write(report: Any, folder: Path) -> Path:
    """Write figures/, summary.md and summary.html; the path of the last.

    Args:
        report: What `genbench.report.make_report` made.
        folder: Where to; its figures/ is there.
    """
    files = draw_all(report.drawings, folder / "figures")
    for kind in ("md", "html"):
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("genbench.report", "."),
            autoescape=kind == "html",
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
        )
        environment.filters |= {
            "file": lambda figure: files[id(figure)][0],
            "chart": lambda figure: Markup(files[id(figure)][1]),  # matplotlib escapes
            "data": Embedding(EMBEDDED - sum(len(svg) for _, svg in files.values())).url,
            "cell": partial(re.sub, r"[|<]", r"\\\g<0>"),
            "line": partial(re.sub, "<(?=[A-Za-z/!?])", r"\\<"),
            "prose": lambda text: Markup(re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text)))),
        }
        environment.tests |= {"number": is_number, "drawing": lambda c: isinstance(c, Drawing)}
        template = environment.get_template(f"summary.{kind}.j2")
        text = template.render(report=report, conclusion=conclusion, rest=rest)
        with whole(folder / f"summary.{kind}") as file:
            file.write(text.encode())
    return folder / "summary.html"


def draw_all(drawings: Sequence[Drawing], folder: Path) -> dict[int, tuple[Path, str]]:
    """Each figure's file and SVG by its identity; behind its family's name where it is taken."""
    files: dict[int, tuple[Path, str]] = {}
    taken: set[str] = set()
    for figure in drawings:
        signals.check()
        name, family = (re.sub(r"[^\w-]", "-", word) for word in (figure.name, figure.family))
        longer = name if name.startswith(family) else f"{family}_{name}"
        names = itertools.chain([name, longer], (f"{longer}-{k}" for k in itertools.count(2)))
        name = next(name for name in names if name not in taken)
        taken.add(name)
        path, svg = save(figure.draw, folder / name)
        files[id(figure)] = path, inline(svg, f"chart{len(files)}") if svg else ""
    return files


@dataclass
class Embedding:
    """The pictures of one page: within it as long as there is room, else in figures/ beside it.

    room: So many characters.
    """

    room: int

    def url(self, path: Path) -> str:
        """A URL that holds a picture's file, or that names it."""
        if 4 * path.stat().st_size / 3 > self.room:
            return f"figures/{path.name}"
        kind = TYPES[path.suffix]
        data = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
        self.room -= len(data)
        return data


def is_number(cell: object) -> bool:
    """Whether a cell is written as a number, which stands at the right."""
    return isinstance(cell, str) and NUMBER.fullmatch(cell) is not None


def conclusion(contents: Sequence[Content]) -> list[str]:
    """The first sentence of each section, then the second ones, as far as there is room."""
    rounds = itertools.zip_longest(*(content.said for content in contents))
    return [said for one in rounds for said in one if said][:CONCLUSION]


def rest(content: Content, contents: Sequence[Content]) -> list[str]:
    """What a section says that the conclusion had no room for."""
    shown = conclusion(contents)
    return [sentence for sentence in content.said if sentence not in shown]
