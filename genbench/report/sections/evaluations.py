"""Samples of all families against the same real pictures, as `genbench evaluate` scored them."""

import math
import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from genbench.console import listed
from genbench.metrics.memorization import SURE
from genbench.metrics.names import short_name
from genbench.metrics.protocol import ModelScores, Protocol, ranking
from genbench.metrics.table import METRICS, RANKED_BY
from genbench.record import read_picture
from genbench.report.comparison import Lead, no_merit
from genbench.report.evaluated import Evaluated, about_priors
from genbench.report.part import Content, Drawing, Part
from genbench.report.sheets import as_it_is
from genbench.scalars import Scalar
from genbench.stats import Claims, Comparison, Sample, disjoint, share

LIKELIHOODS = {
    "nll": Scalar(title="-log p(x), importance sampling", unit="nats", better="minimize", digits=2),
    "nll_few": Scalar(title="By a tenth of the draws", unit="nats", better="minimize", digits=2),
    "nll_bias": Scalar(title="Still too high by about", unit="nats", digits=2),
    "elbo": Scalar(title="ELBO, of the same pictures", unit="nats", better="maximize", digits=2),
    "elbo_gap": Scalar(title="Gap between the two", unit="nats", digits=2),
    "rate": Scalar(title="Rate: KL to the prior", unit="nats", digits=2),
    "distortion": Scalar(title="Distortion", unit="nats", digits=2),
    "active_units": Scalar(title="Active units", digits=1),
}
CONDITIONS = {  # what a likelihood depends on
    "p": "p(x|z); bernoulli takes grey values as probabilities",
    "binarize": "Pixels binarised",
    "given": "Given, beside the model",
    "pictures": "Held-out pictures",
    "draws": "Draws of z a picture",
}
NOTE = (
    "± is the standard deviation over training seeds; [a, b] is a 95 % interval for these real "
    "pictures, of one training; half samples vary them too. The floor is the same score of as many "
    "other real pictures. Scores compare within this table alone."
)
NO_FID = (
    "The Fréchet distance is no FID, which is by Inception. An Inception Score by a network that "
    "was trained on other pictures says little."
)
FEW = 3  # training pictures that all samples of a collapsed model are near to
Floor = dict[str, float]


def against(part: Part) -> Iterator[Content]:
    """A table a protocol: a column a model, the best first."""
    tables = scored(part.evaluated)
    for rows, floor in tables:
        protocol = rows[0].protocol
        first = rows is tables[0][0]  # other rulers have tables, and no sentences of their own
        said = [about_nearest(part.claims, rows, floor), about_largest(rows)] if first else []
        notes = [
            f"{protocol.n} samples against {protocol.n} {protocol.title}; pictures of "
            f"{protocol.size} px. {NOTE} They depend on N, on the extractor (weights "
            f"{protocol.weights}) and on the real pictures."
        ]
        notes += about_priors(part.evaluated)
        notes += [NO_FID] * (short_name(protocol.extractor) != "inception")
        yield Content(f"Against {protocol.title}", said, score_table(rows, floor), notes)


def scored(evaluated: list[Evaluated]) -> list[tuple[list[ModelScores], Floor]]:
    """The scores by each protocol, the best first, and their floor; most models first."""
    tables: dict[Protocol, tuple[list[ModelScores], Floor]] = {}
    for model in evaluated:
        for scores, floor in model.scores():
            tables.setdefault(scores.protocol, ([], floor))[0].append(scores)
    order = sorted(tables, key=lambda p: (-len(tables[p][0]), p.extractor, p.split))
    return [
        (ranking(rows) if all(RANKED_BY in row.values for row in rows) else rows, floor)
        for rows, floor in (tables[protocol] for protocol in order)
    ]


def score_table(rows: list[ModelScores], floor: Floor) -> list[list[str]]:
    """A header, what the spread is over, and a row a metric, its floor at the end."""
    table = [
        ["", *(row.title for row in rows), "Real pictures (floor)"],
        ["Spread", *(row.basis for row in rows), "—"],
    ]
    names = {name for row in rows for name in row.values}
    for name in [*(known for known in METRICS if known in names), *sorted(names - set(METRICS))]:
        scalar = rows[0].protocol.score(name).scalar
        real = scalar.show(floor[name]) if name in floor else "—"
        table.append([scalar.heading, *(row.show(name) for row in rows), real])
    return table


def samples(part: Part) -> Iterator[Content]:
    """A row of samples a model, as `genbench evaluate` drew them."""
    rows: dict[str, np.ndarray] = {}
    for model in part.evaluated:
        for name in model.having("samples")[:1]:
            picture = read_picture(model.runs[0].path / name)
            if picture is not None:
                rows[model.title] = picture
    same = {one.shape for one in rows.values()}
    if len(rows) > 1 and len(same) == 1:
        caption = f"Samples, a row a model; from above: {'; '.join(rows)}."
        draw = partial(np.concatenate, list(rows.values()))
        yield Content("Samples of each", figures=[Drawing("samples_of_each", caption, draw)])


def about_nearest(claims: Claims, rows: list[ModelScores], floor: Floor) -> str | None:
    """Who comes nearest, and how sure that is: over training seeds, else over samples."""
    if len(rows) < 2 or not all(RANKED_BY in row.values for row in rows):
        return None
    first, second = rows[:2]
    if not math.isfinite(first.sample(RANKED_BY).mean - second.sample(RANKED_BY).mean):
        return None
    verdict = f"The samples of the {first.title} come nearest"
    if first.over == second.over == "training seeds":
        lead = Lead.of([(row.title, _by_seeds(claims, first, row)) for row in rows[1:]])
        basis = lead.basis
        if lead.unproven:
            verdict = f"The samples of the {first.title} come nearer than the {second.title}'s"
        elif lead.second.leans:
            verdict = f"The samples of the {first.title} may come nearest"
        elif not lead.second.differ:
            verdict = f"The {first.title} and the {second.title} cannot be told apart"
    else:
        basis = "a single training: another seed may differ"
        apart = disjoint(first.interval(RANKED_BY), second.interval(RANKED_BY))
        if apart is None:
            verdict += ", nobody knows how surely,"
        elif not apart:
            basis = f"their intervals overlap; {basis}"
            verdict = f"The samples of the {first.title} come nearest, if not surely,"
    scalar = METRICS[RANKED_BY]
    numbers = f"{first.show(RANKED_BY)} against {second.show(RANKED_BY)}"
    at = floor.get(RANKED_BY)
    real = "" if at is None else f"; other real pictures are at {scalar.show(at)}"
    where = f"by {scalar.title} to the {first.protocol.title}"
    return f"{verdict} {where}: {numbers}{real} ({basis})."


def _by_seeds(claims: Claims, a: ModelScores, b: ModelScores) -> Comparison:
    """Of the two over their trainings; draws of a single one tell nothing of others."""
    samples = [one.sample(RANKED_BY) for one in (a, b)]
    first, second = (
        sample if one.over == "training seeds" else Sample.of([sample.mean])
        for one, sample in zip((a, b), samples, strict=True)
    )
    return claims.compare(first, second, METRICS[RANKED_BY].is_distance)


def about_largest(rows: list[ModelScores]) -> str | None:
    """Whose precision and recall are the largest."""
    tops = []
    for name in ("precision", "recall"):
        having = [row for row in rows if name in row.values]
        recalls = [row.sample("recall") if "recall" in row.values else None for row in having]
        having = [
            r for r, recall in zip(having, recalls, strict=True) if not no_merit(name, recall)
        ]
        if len(having) > 1:
            top = max(having, key=lambda row: row.sample(name).mean)
            tops.append(f"{name} of the {top.title}, {top.show(name)}")
    return f"The largest of these scores: {'; '.join(tops)}." if tops else None


def likelihoods(part: Part) -> Iterator[Content]:
    """A row a measure, a column a model that has a likelihood: mean ± std over training seeds."""
    lines = {
        model.title: known for model in part.evaluated if (known := model.having("likelihood"))
    }
    if not lines:
        return
    rows = [["", *lines]]
    for name, title in CONDITIONS.items():
        cells = [str(known[0].get(name, "—")) for known in lines.values()]
        if {*cells} != {"—"}:
            rows.append([title, *cells])
    for name, scalar in LIKELIHOODS.items():
        cells = [
            Sample.of(line[name] for line in known).show(scalar.digits)
            if all(math.isfinite(line.get(name, math.nan)) for line in known)
            else "—"
            for known in lines.values()
        ]
        rows.append([scalar.heading, *cells])
    yield Content("Likelihood of held-out pictures", table=rows)


def classes(part: Part) -> Iterator[Content]:
    """Recall of each class by the models that learned classes: means over their trainings."""
    found = {model.title: known for model in part.evaluated if (known := model.having("classes"))}
    if not found:
        return
    recall, rows = METRICS["recall"], [["Class", "N", *found, "Real pictures (floor)"]]
    for entry in next(iter(found.values()))[0]:
        cells = []
        for runs in found.values():
            alike = [other for run in runs for other in run if other["label"] == entry["label"]]
            over_seeds = [other["values"]["recall"] for other in alike]
            cells.append(Sample.of(over_seeds).show(recall.digits) if over_seeds else "—")
        floor = recall.show(entry["floor"]["recall"])
        rows.append([entry["label"], str(entry["n"]), *cells, floor])
    note = (
        "Recall of N samples of a class among N held-out pictures of it, ± over training seeds; "
        "the floor is that of as many training pictures of it."
    )
    yield Content("Recall of each class", table=rows, notes=[note])


def copies(part: Part) -> Iterator[Content]:
    """What the test for copies found, and the closest pairs of each model's first run."""
    figures = []
    for number, model in enumerate(part.evaluated, 1):
        tested = model.findings[0].get("memorization") or {}
        path = model.runs[0].path / tested.get("picture", "none")
        if read_picture(path) is not None:
            caption = f"{model.title}: the ten samples nearest to a training picture, each above it"
            draw = partial(as_it_is, path)
            figures.append(Drawing(f"closest_pairs_{number}", caption, draw, real=True))
    tested = [(model, tests) for model in part.evaluated if (tests := model.having("memorization"))]
    tested.sort(key=lambda pair: not any(test["alarm"] for test in pair[1]))  # alarms first
    said: list[str | None] = [about_copies(model, tests) for model, tests in tested]
    missing = [model.title for model in part.evaluated if not model.having("memorization")]
    notes = [f"Not looked for among samples of the {listed(missing)}."] if missing else []
    heading = "Samples and their nearest training pictures"
    yield Content(heading, said, notes=notes if said else [], figures=figures)


def about_copies(model: Evaluated, tests: list[dict[str, Any]]) -> str:
    """Whether a model's samples are copies of training pictures, as far as distances tell."""
    copied, expected = (
        100 * statistics.fmean(test[name] for test in tests) for name in ("copies", "expected")
    )
    numbers = (
        f"{copied:.1f} % of its samples are as near to a training picture as {expected:.1f} % of "
        f"held-out pictures are{_searched(model, tests)}"
    )
    alarms = [bool(test["alarm"]) for test in tests]
    if any(alarms):
        trainings = f"{share(alarms)} trainings"
        few = [test["originals"] for test in tests if test["alarm"] and "originals" in test]
        but = f", but to {listed(sorted({*map(str, few)}))} of them: a collapse does so, too"
        but = but if few and max(few) <= FEW else ""
        return f"The {model.title} may copy training pictures, in {trainings}: {numbers}{but}."
    shares = [test["visible"] for test in tests if "visible" in test]
    seen = f" ({100 * max(shares):.1f} % copies would show in {SURE})" if shares else ""
    verdict = "raises no alarm of" if copied > expected else "shows no sign of"
    return f"The {model.title} {verdict} copying training pictures{seen}: {numbers}."


def _searched(model: Evaluated, tests: list[dict[str, Any]]) -> str:
    """How many of the training pictures were looked at, where not all were."""
    there = model.runs[0].about["images"]["train"]
    known = [test["searched"] for test in tests if "searched" in test]
    return f" ({known[0]:,} of {there:,} of these)" if known and known[0] < there else ""
