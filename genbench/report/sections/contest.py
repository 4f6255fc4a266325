"""Contests (experiments/contest.py): named models after the same time on the same pictures."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from genbench.metrics.names import ScoreName
from genbench.metrics.table import METRICS, RANKED_BY
from genbench.record import Contest, Record, Rung
from genbench.report.drawing import array, kept_arrays, sheet, tiled
from genbench.report.group import one_a_seed, sample_scores
from genbench.report.part import Content, Drawing, Part
from genbench.stats import Sample, compare

STRIP = 12  # samples of a side


def contests(part: Part) -> Iterator[Content]:
    """A contest's table, who won and by how much training, and samples of each side."""
    for contest, records in part.contests:
        table = contest_table(contest, records)
        if len(table) < 2:
            continue
        notes = [
            f"Training of {contest['minutes']:g} minutes each, as so many steps as take that long "
            f"on this machine ({contest['hardware']}, {contest['threads']} threads), measured "
            "beforehand in turns; scoring is not counted. Each is judged at the epoch that is best "
            "by validation. The untrained column is the same network before its first step.",
            f"Chosen for the DCGAN by validation, on a seed of its own: "
            f"{contest['choice'] or 'nothing'}. Rows that begin with + build on each other; "
            "experiments/contest.py says what each changes.",
        ]
        size = records[0].config.get("image_size")
        heading = f"Contest: {contest['minutes']:g} minutes of training each, {size} px"
        yield Content(
            heading, list(said(contest, records)), table, notes, _figures(contest, records)
        )


def contest_table(contest: Contest, records: Sequence[Record]) -> list[list[str]]:
    """A header, a row a side in the contest's order, and the floor; mean ± std over seeds."""
    names = compared_scores(records)
    if not names:
        return []
    kid = next((name for name in names if name.metric == RANKED_BY), names[0])
    titles = [f"{METRICS[name.metric].title}{METRICS[name.metric].arrow}" for name in names]
    titles += [f"untrained {METRICS[kid.metric].title}", "steps", "ms a step", "parameters"]
    rows = [["", *titles, "seeds", "trouble"]]
    for side, rung in contest["sides"].items():
        runs = runs_of(rung, records)
        rows.append(
            [
                side,
                *(_show(name, [_score(run, name) for run in runs]) for name in names),
                _show(kid, [rung["untrained"].get(str(kid), math.nan)]),
                f"{rung['steps']:,}",
                f"{rung['milliseconds']:.0f}",
                f"{rung['parameters']:,}",
                str(len(runs)),
                trouble(runs),
            ]
        )
    floors = [[_score(run, name.as_floor) for run in records] for name in names]
    known = [[v for v in values if math.isfinite(v)][:1] for values in floors]
    rows.append(["other real pictures", *map(_show, names, known), *[""] * 6])
    return rows


def _score(run: Record, name: ScoreName) -> float:
    return run.scores.get(str(name), math.nan)


def trouble(runs: Sequence[Record]) -> str:
    """In how many trainings what went wrong."""
    steady = [run.summary.get("stability", {}) for run in runs]
    counts = {
        "diverged": sum(run.diverged for run in runs),
        "collapsed": sum(bool(one.get("collapsed")) for one in steady),
        "saturated": sum(one.get("saturated_epochs", 0.0) > 0 for one in steady),
    }
    return ", ".join(f"{what} {n} of {len(runs)}" for what, n in counts.items() if n)


def compared_scores(records: Sequence[Record]) -> list[ScoreName]:
    """The scores of the largest N on held-out pictures that all finished runs have."""
    tested = [run for run in records if run.status == "finished" and run.tested]
    names = sample_scores((key for run in tested for key in run.scores), "test")
    shared = [name for name in names if all(str(name) in run.scores for run in tested)]
    return [
        name for name in shared if (name.n, name.extractor) == (shared[0].n, shared[0].extractor)
    ]


def runs_of(rung: Rung, records: Sequence[Record]) -> list[Record]:
    """The ended runs of a side, one a seed."""
    ended = [run for run in records if run.config.get("test") and (run.tested or run.diverged)]
    return one_a_seed(run for run in ended if run.about.get("key") == rung["key"])


def said(contest: Contest, records: Sequence[Record]) -> Iterator[str]:
    """Who comes nearest to held-out pictures, what of it is training, and who else is better."""
    names = compared_scores(records)
    sides = {name: runs_of(rung, records) for name, rung in contest["sides"].items()}
    best: dict[str, str] = {}
    for name in names:
        metric = METRICS[name.metric]
        samples = {
            side: sample
            for side, runs in sides.items()
            if (sample := _sample(name, runs)) is not None
        }
        if not samples:
            return
        order = sorted(samples, key=lambda side: -metric.sign * samples[side].mean)
        best[name.metric] = order[0]
        if name.metric == RANKED_BY and len(order) > 1:
            yield from _winner(contest, name, order, samples)
    others = [
        f"{METRICS[m].title.lower()} ({side})"
        for m, side in best.items()
        if side != best.get(RANKED_BY)
    ]
    if RANKED_BY in best and others:
        yield f"Against it: others are better by {', '.join(others)}."


def _winner(
    contest: Contest, name: ScoreName, order: list[str], samples: dict[str, Sample]
) -> Iterator[str]:
    first, second = samples[order[0]], samples[order[1]]
    metric = METRICS[name.metric]
    comparison = compare(first, second)
    sure = comparison.basis if comparison.p is not None else "too few seeds of both to tell"
    yield (
        f"After {contest['minutes']:g} minutes each, {order[0]} comes nearest to the held-out "
        f"pictures by {metric.title}: {first.show(metric.digits)}, next {order[1]} with "
        f"{second.show(metric.digits)} ({sure})."
    )
    untrained = contest["sides"][order[0]]["untrained"].get(str(name))
    if untrained and untrained > 0:
        yield (
            f"Its untrained network has {untrained:.{metric.digits}f}: training leaves "
            f"{first.mean / untrained:.0%} of that."
        )


def _sample(name: ScoreName, runs: Sequence[Record]) -> Sample | None:
    values = [run.scores.get(str(name), math.nan) for run in runs if run.status == "finished"]
    finite = [value for value in values if math.isfinite(value)]
    return Sample.of(finite) if finite else None


def _show(name: ScoreName, values: Sequence[float]) -> str:
    """`mean ± std` of what is there."""
    finite = [value for value in values if math.isfinite(value)]
    return Sample.of(finite).show(METRICS[name.metric].digits) if finite else "none"


def _figures(contest: Contest, records: Sequence[Record]) -> list[Drawing]:
    """A row of samples of each side's first seed."""
    rows: dict[str, np.ndarray] = {}
    for side, rung in contest["sides"].items():
        kept = [run for run in runs_of(rung, records) if kept_arrays(run, "pictures", "samples")]
        if kept:
            rows[side] = array(kept[0], "pictures", "samples")[:STRIP]
    shapes = {some.shape for some in rows.values()}
    if len(shapes) != 1:
        return []
    caption = f"{STRIP} samples of each side's first seed, from above: {'; '.join(rows)}."
    draw = partial(sheet, [tiled(np.stack(list(rows.values())))])
    return [Drawing("contest", caption, draw)]
