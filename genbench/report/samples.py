"""Part 3: samples of all families against the same real pictures, from `genbench evaluate`."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.record import Record, read_runs
from genbench.report.drawing import Drawn
from genbench.report.select import one_a_seed
from genbench.rulers import BETTER, DIGITS, RANKED_BY, Row, Ruler, ranking

MEASURES = {
    "fd": "Fréchet distance ↓",
    "kid": "KID ↓",
    "isc_mean": "Inception Score ↑",
    "precision": "Precision ↑",
    "recall": "Recall ↑",
    "kl": "KL of Gaussians in feature space (nats) ↓",
    "fd_infinity": "Fréchet distance at infinite N ↓",
}
# name, title, digits after the point
LIKELIHOODS = (
    ("nll", "-log p(x), importance sampling (nats) ↓", 2),
    ("elbo", "ELBO (nats) ↑", 2),
    ("elbo_gap", "Gap between the two (nats)", 2),
    ("rate", "Rate: KL to the prior (nats)", 2),
    ("distortion", "Distortion (nats)", 2),
    ("active_units", "Active units", 1),
)
# name, title: what a likelihood depends on
CONDITIONS = (
    ("p", "p(x|z); bernoulli takes grey values as probabilities"),
    ("binarize", "Pixels binarised"),
    ("pictures", "Held-out pictures"),
    ("draws", "Draws of z a picture"),
)
NAMES = {"ae+mixture": "AE (mixture of Gaussians fitted to its codes)"}
NAMES |= {"ae+gaussian": "AE (Gaussian fitted to its codes)", "vae": "VAE", "gan": "GAN"}
REALS = {"test": "held-out", "train": "training"}


@dataclass(frozen=True)
class Scored:
    """All rows of one ruler, the best first, and its floor."""

    ruler: Ruler
    rows: list[Row]
    floor: dict[str, float]

    @property
    def title(self) -> str:
        """What it holds the samples against."""
        ruler = self.ruler
        return f"{REALS.get(ruler.split, ruler.split)} pictures, {ruler.extractor}, N = {ruler.n}"


@dataclass
class Found:
    """All that evaluations of a run found."""

    run: Record
    scores: dict[Ruler, dict[str, Any]] = field(default_factory=dict)  # values, errors, floor
    memorization: dict[str, Any] | None = None
    likelihood: dict[str, Any] | None = None


@dataclass(frozen=True)
class Evaluated:
    """The runs of one configuration, one a training seed, as they were drawn from."""

    title: str
    runs: list[Found]


@dataclass(frozen=True)
class SamplesChapter:
    """The evaluations of a data set."""

    data: str
    evaluated: list[Evaluated]
    tables: list[Scored]


def choose_samples(runs_dir: str, data: str = "") -> SamplesChapter | None:
    """The data set with the most evaluated runs (or `data`), and a table for each ruler.

    A score that was taken again counts as it was last. None: nothing was evaluated.
    """
    records = [r for r in read_runs(runs_dir) if r.status == "finished" and r.evaluations()]
    records = [r for r in records if data in ("", r.config["data"])]
    if not records:
        return None
    hashes = Counter(r.about["data_hash"] for r in records)
    records = [r for r in records if r.about["data_hash"] == hashes.most_common(1)[0][0]]
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        for sampler in dict.fromkeys(line["sampler"] for line in record.evaluations()):
            groups[sampler, record.about["key"]].append(record)
    counts = Counter(sampler for sampler, _ in groups)
    evaluated = [
        Evaluated(
            NAMES.get(sampler, sampler) + (f" {key}" if counts[sampler] > 1 else ""),
            [_merged(run, sampler) for run in one_a_seed(runs)],
        )
        for (sampler, key), runs in groups.items()
    ]
    by_ruler: dict[Ruler, tuple[list[Row], dict[str, float]]] = {}
    for one in evaluated:
        for ruler, row, floor in _rows(one):
            by_ruler.setdefault(ruler, ([], floor))[0].append(row)
    tables = [
        Scored(ruler, ranking(rows) if all(RANKED_BY in r.values for r in rows) else rows, floor)
        for ruler, (rows, floor) in by_ruler.items()
    ]
    tables.sort(key=lambda one: (-len(one.rows), one.ruler.extractor, one.ruler.split))
    return SamplesChapter(records[0].config["data"], evaluated, tables)


def _merged(run: Record, sampler: str) -> Found:
    """What all evaluations of a run with this sampler found, the later ones over the earlier."""
    found = Found(run)
    for line in run.evaluations():
        if line["sampler"] != sampler:
            continue
        for one in line.get("scores", []):
            known = found.scores.setdefault(Ruler(**one["ruler"]), {})
            for part in ("values", "errors", "floor"):
                known[part] = known.get(part, {}) | one[part]
        found.memorization = line.get("memorization", found.memorization)
        found.likelihood = line.get("likelihood", found.likelihood)
    return found


def _rows(evaluated: Evaluated) -> Iterator[tuple[Ruler, Row, dict[str, float]]]:
    """A row for each ruler that all runs have; each of several runs counts by its mean."""
    first, *others = evaluated.runs
    for ruler, scores in first.scores.items():
        ones = [scores, *(run.scores[ruler] for run in others if ruler in run.scores)]
        if len(ones) < len(evaluated.runs):
            continue
        names = [name for name in scores["values"] if all(name in one["values"] for one in ones)]
        # NaN and infinities are text in JSON
        draws = {name: [list(map(float, one["values"][name])) for one in ones] for name in names}
        over = "training seeds" if others else "sampling seeds"
        values = {
            name: list(map(statistics.mean, found)) if others else found[0]
            for name, found in draws.items()
        }
        errors = {name: float(value) for name, value in scores["errors"].items()}
        floor = {name: float(value) for name, value in scores["floor"].items()}
        yield ruler, Row(evaluated.title, ruler, values, errors, over), floor


def score_rows(scored: Scored) -> list[list[str]]:
    """A header, and a row a measure: each model's mean ± half its interval, then the floor."""
    rows = [
        ["", *(row.title for row in scored.rows), "Real pictures (floor)"],
        ["95 % intervals over", *(row.basis for row in scored.rows), "—"],
    ]
    for name, title in MEASURES.items():
        if any(name in row.values for row in scored.rows):
            floor = scored.floor.get(name)
            cells = [row.show(name) for row in scored.rows]
            rows.append([title, *cells, "—" if floor is None else f"{floor:.{DIGITS[name]}f}"])
    return rows


def likelihood_rows(chapter: SamplesChapter) -> list[list[str]]:
    """A header and a row a measure, for the families that have a likelihood."""
    found = {
        one.title: [run.likelihood for run in one.runs if run.likelihood]
        for one in chapter.evaluated
    }
    found = {title: lines for title, lines in found.items() if lines}
    rows = [["", *found]]
    rows += [
        [title, *(str(lines[0][name]) for lines in found.values())] for name, title in CONDITIONS
    ]
    for name, title, digits in LIKELIHOODS:
        cells = [[float(line[name]) for line in lines] for lines in found.values()]
        rows.append([title, *(_mean_std(values, digits) for values in cells)])
    return rows if found else []


def _mean_std(values: list[float], digits: int) -> str:
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def notes(scored: Scored) -> list[str]:
    """What a table's scores depend on."""
    ruler = scored.ruler
    lines = [
        f"{ruler.n} samples against {ruler.n} {scored.title}; pictures of {ruler.size} px. ± is "
        "half a 95 % interval for these real pictures; half samples vary them too. The floor is "
        "the same score of as many other real pictures. Scores compare within this table alone: "
        f"they depend on N, on the extractor (weights {ruler.weights}) and on the real pictures.",
    ]
    if ruler.extractor != "inception-v3-compat":
        lines.append(
            "The Fréchet distance is no FID, which is by Inception. "
            "An Inception Score by a network that was trained on other pictures says little."
        )
    return lines


def conclude(chapter: SamplesChapter) -> list[str]:
    """Who comes nearest by each ruler, whether that is sure, and who copies."""
    said = [sentence for scored in chapter.tables for sentence in _compare(scored)]
    for one in chapter.evaluated:
        said += _copies(one)
    return said


def _compare(scored: Scored) -> Iterator[str]:
    if len(scored.rows) < 2 or not all(RANKED_BY in row.values for row in scored.rows):
        return
    best, second = scored.rows[:2]
    mine, theirs = best.interval(RANKED_BY), second.interval(RANKED_BY)
    if not mine or not theirs:
        verdict = f"The samples of the {best.title} come nearest, nobody knows how surely,"
    elif mine[1] < theirs[0]:
        verdict = f"The samples of the {best.title} come nearest"
    else:
        verdict = f"The {best.title} and the {second.title} cannot be told apart"
    floor = scored.floor.get(RANKED_BY)
    real = "" if floor is None else f"; other real pictures are at {floor:.4f}"
    numbers = f"{best.show(RANKED_BY)} against {second.show(RANKED_BY)}"
    yield f"{verdict} by KID to the {scored.title}: {numbers}{real}."
    tops = {}
    for name in ("precision", "recall"):
        rows = [row for row in scored.rows if name in row.values]
        if len(rows) > 1:
            tops[name] = max(rows, key=lambda row: BETTER[name] * row.mean(name))
    largest = [f"{name} of the {row.title}, {row.show(name)}" for name, row in tops.items()]
    if largest:
        yield f"The largest by the same ruler: {'; '.join(largest)}."


def _copies(one: Evaluated) -> Iterator[str]:
    """What the test for copies found."""
    found = [run.memorization for run in one.runs if run.memorization]
    if not found:
        return
    alarms = sum(each["alarm"] for each in found)
    share = statistics.mean(each["copies"] for each in found)
    expected = statistics.mean(each["expected"] for each in found)
    numbers = f"{100 * share:.1f} % of its samples are as near to a training picture as "
    numbers += f"{100 * expected:.1f} % of held-out pictures are"
    if alarms:
        trainings = f"{alarms} of {len(found)} trainings"
        yield f"The {one.title} copies training pictures in {trainings}: {numbers}."
    else:
        yield f"The {one.title} shows no sign of copying training pictures: {numbers}."


def pairs(chapter: SamplesChapter, folder: Path) -> list[Drawn]:
    """The closest pairs of each row's first run, copied into the report's figures."""
    drawn = []
    for number, one in enumerate(chapter.evaluated, 1):
        found = one.runs[0]
        source = found.run.path / (found.memorization or {}).get("picture", "none")
        if source.is_file():
            path = folder / f"closest_pairs_{number}.png"
            path.write_bytes(source.read_bytes())
            caption = f"{one.title}: the ten samples nearest to a training picture, each above it"
            drawn.append(Drawn(path, "Samples and their nearest training pictures", caption))
    return drawn
