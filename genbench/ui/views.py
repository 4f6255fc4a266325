"""What the page asks of one run: its log, its record, its codes on a plane, its pictures."""

import io
import shlex
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genbench.families import FAMILIES
from genbench.images import tile
from genbench.metrics.latent import principal_axes
from genbench.metrics.names import ScoreName
from genbench.metrics.protocol import ModelScores, Protocol
from genbench.record import Evaluation, Record, is_running
from genbench.record.reader import problems_of
from genbench.record.source import Tail
from genbench.scalars import MEASURED, Scalar
from genbench.ui.store import generation

MOST = 2**21  # bytes of a log in one answer
COLUMNS = {"originals": 8, "reconstructions": 8, "samples": 8}  # of a grid; else the array's own
SPRITES = 50  # thumbnails in a row of the codes' pictures
ROWS = {"neighbours", "interpolations", "manifold"}  # pictures in rows of their own


def log(folder: Path, at: int, before: str) -> dict[str, Any]:
    """The rows of a log from byte `at` on; from the start if it is not the log that it was.

    `at` is where to go on; `more` says that there is more already.
    """
    now, file = generation(folder), folder / "metrics.jsonl"
    size = file.stat().st_size if file.exists() else 0
    anew = before != now or at > size
    at = 0 if anew else at
    tail = Tail(folder, at)
    rows = tail.rows(MOST)
    more = size - tail.at > MOST // 2 or (size > tail.at and tail.at - at >= MOST)
    return {"generation": now, "anew": anew, "rows": rows, "at": tail.at, "more": more}


def detail(record: Record, runs_dir: Path) -> dict[str, Any]:
    """All that is known of a run but its log."""
    arrays = record.arrays("pictures")
    return {
        "about": record.about,
        "summary": record.summary,
        "evaluations": [_evaluation(line) for line in record.evaluations()],
        "problems": problems_of(record.path),
        "grids": {epoch: f"samples/{path.name}" for epoch, path in record.grids().items()},
        "kept": {name: len(array) for name, array in arrays.items() if name != "manifold_extent"},
        "codes": len(record.arrays("latents").get("z", ())),
        "commands": _commands(record, runs_dir),
    }


def _commands(record: Record, runs_dir: Path) -> list[tuple[str, str]]:
    """What one does next with a run, and how."""
    name, saved = shlex.quote(record.path.name), any(record.path.glob("checkpoints/*.pt"))
    where = "" if str(runs_dir) == "runs" else f" --runs_dir={shlex.quote(str(runs_dir))}"
    commands = [("Upload it to W&B", f"genbench sync {name}{where}")]
    if record.status not in ("finished", "pruned") and not is_running(record.path):
        commands.insert(0, ("Go on with it", f"genbench resume {name}{where}"))
    if saved and record.status == "finished":
        commands.insert(0, ("Draw pictures", f"genbench sample {name}{where}"))
        commands.insert(1, ("Score it against real pictures", f"genbench evaluate {name}{where}"))
    return commands


def _evaluation(line: Evaluation) -> dict[str, Any]:
    """A line of evaluations.jsonl with its scores as rows of a table."""
    rows = []
    for scores in line.get("scores", []):
        protocol = Protocol(**scores["ruler"])
        model = ModelScores("", protocol, scores["values"], scores["errors"])
        for metric, values in scores["values"].items():
            name = protocol.score(metric)
            rows.append(
                {
                    "title": name.scalar.heading,
                    "protocol": protocol.title,
                    "mean": model.sample(metric).mean,
                    "interval": model.interval(metric),
                    "draws": len(values),
                    "floor": scores["floor"].get(metric),
                }
            )
    return {**line, "scores": rows}


def titles(names: set[str]) -> dict[str, dict[str, Any]]:
    """How scalars are written, by their names in logs (without a split)."""
    known: dict[str, Scalar] = dict(MEASURED)
    for family in FAMILIES.values():
        known = {**family.scalars, **known}
    found = {}
    for name in names:
        score = ScoreName.parse(name)
        scalar = score.scalar if score.is_sample_score else known.get(name)
        if scalar:
            title = score.title if score.is_sample_score else scalar.title
            found[name] = {"title": title, "unit": scalar.unit, "better": scalar.better}
    return found


def codes(record: Record) -> dict[str, Any]:
    """Codes on the plane that they vary in most (two dimensions as they are), and their labels."""
    arrays = record.arrays("latents")
    if "z" not in arrays:
        return {"n": 0}
    z, labels = arrays["z"].astype(np.float64), arrays.get("labels")
    variance, axes = 1.0, ["z₁", "z₂"]
    if z.shape[1] > 2:
        mean, principal = principal_axes(z)
        points = (z - mean) @ principal[:2].T
        variance = float(points.var(axis=0).sum() / max(z.var(axis=0).sum(), 1e-12))
        axes = ["first principal axis", "second principal axis"]
    else:
        points = np.pad(z, [(0, 0), (0, 2 - z.shape[1])])
    names = list(record.about.get("classes", {}))  # by label
    return {
        **{"n": len(z), "dimensions": z.shape[1], "variance": variance, "axes": axes},
        **{"x": _short(points[:, 0]), "y": _short(points[:, 1])},
        **{"labels": labels.tolist() if labels is not None else [], "classes": names},
        "split": str(arrays.get("split", "")),
        "pictures": _sprite(arrays["pictures"]) if "pictures" in arrays else None,
    }


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _sprite(pictures: np.ndarray) -> dict[str, int]:
    """Where the picture of code k is: column k % columns, row k // columns, a pixel around each."""
    height, width = pictures.shape[1:3]
    return {"columns": min(SPRITES, len(pictures)), "width": width, "height": height}


def grid(record: Record, name: str) -> bytes:
    """Kept pictures as one PNG; `codes` are those of the codes. `KeyError`: there are none."""
    if name == "codes":
        pictures = record.arrays("latents")["pictures"]
        return _png(tile(pictures, min(SPRITES, len(pictures))))
    if name not in ROWS | COLUMNS.keys():
        raise KeyError(name)
    pictures = record.arrays("pictures")[name]
    columns = min(COLUMNS.get(name, 8), len(pictures))
    if name in ROWS:
        columns = pictures.shape[1]
        pictures = pictures.reshape(-1, *pictures.shape[2:])
    return _png(tile(pictures, columns))


def _png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


@lru_cache(maxsize=32)
def codes_at(folder: Path, stamp: str) -> dict[str, Any]:
    """`codes`, computed once for each state of the files."""
    return codes(Record(folder, *_about(folder)))


def _about(folder: Path) -> Any:
    from genbench.record.reader import look_at_run

    record = look_at_run(folder)[0]
    return (record.about, record.summary) if record else ({"config": {}}, {})
