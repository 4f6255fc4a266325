"""Evaluations as printed: a table a protocol, lines a model."""

import math
from collections.abc import Iterator
from typing import Any

from genbench.console import counted, print_table
from genbench.evaluate.evaluation import Table
from genbench.evaluate.runs import Candidate
from genbench.metrics import METRICS, RANKED_BY
from genbench.metrics.memorization import SURE
from genbench.metrics.names import SPLITS
from genbench.metrics.protocol import ranking

NATS = ("elbo", "elbo_gap", "rate", "distortion", "active_units")


def show_table(table: Table) -> None:
    """Print a line a score: each model's, the best first, and that of real pictures."""
    protocol = table.rows[0].protocol
    names = [name for name in METRICS if any(name in row.values for row in table.rows)]
    rows = ranking(table.rows) if RANKED_BY in names else table.rows
    lines = [["", *(row.basis for row in rows), "the floor"]]
    for name in names:
        metric = METRICS[name]
        floor = metric.show(table.floor[name]) if name in table.floor else "—"
        title = f"{protocol.score(name).within_split}{metric.arrow}"
        lines.append([title, *(row.show(name) for row in rows), floor])
    print_table(
        ["", *(row.title for row in rows), "real pictures"],
        lines,
        f"{protocol.n} samples against {protocol.n} {SPLITS[protocol.split]} pictures of "
        f"{protocol.size} px, by {protocol.extractor} ({protocol.weights})",
    )


def show_classes(candidate: Candidate) -> None:
    """Print a line a class, of a model that learned some."""
    found = candidate.findings.get("classes")
    if not found:
        return
    scalars = [METRICS[name] for name in found[0]["values"]]
    lines = [
        [
            entry["label"],
            str(entry["n"]),
            *(scalar.show(entry["values"][scalar.name]) for scalar in scalars),
            *(scalar.show(entry["floor"][scalar.name]) for scalar in scalars),
        ]
        for entry in found
    ]
    print_table(
        [
            "class",
            "N",
            *(f"{scalar.name}{scalar.arrow}" for scalar in scalars),
            *(f"{scalar.name}, real" for scalar in scalars),
        ],
        lines,
        f"{candidate.model.sampler} ({candidate.record.path.name}): N samples of each class "
        "against N held-out pictures of it; real: as many training pictures of it",
    )


def model_lines(candidate: Candidate) -> Iterator[str]:
    """Copies of training pictures, and the likelihood of a model that has one."""
    folder, findings = candidate.record.path, candidate.findings
    title = f"{candidate.model.sampler} ({folder.name})"
    if copies := findings.get("memorization"):
        seen = f"no sign of copies ({100 * copies['visible']:.1f} % copies would show in {SURE})"
        verdict = f"may copy {counted(copies['originals'], 'training picture')}"
        verdict = verdict if copies["alarm"] else seen
        yield (
            f"{title}: {verdict}: {100 * copies['copies']:.1f} % of samples are nearer to a "
            f"training picture than all but {100 * copies['expected']:.1f} % of held-out pictures "
            f"are, p = {copies['p']:.2g} ({copies['searched']} searched); the closest: "
            f"{folder / copies['picture']}"
        )
    if likelihood := findings.get("likelihood"):
        numbers = ", ".join(f"{n} {likelihood[n]:.2f}" for n in NATS if n in likelihood)
        binarized = likelihood["binarize"] != "none"
        grey = "binarised" if binarized else "grey values as probabilities"
        what = f"{likelihood['p']}, {grey}" if likelihood["p"] == "bernoulli" else likelihood["p"]
        x = "x|class" if likelihood.get("given") == "class" else "x"
        yield (
            f"{title}, nats an image ({what}; {likelihood['pictures']} held-out pictures): "
            f"-log p({x}) {likelihood['nll']:.2f} (standard error {likelihood['nll_error']:.2f}, "
            f"{likelihood['draws']} draws{_bias(likelihood)}), {numbers}"
        )
        if likelihood.get("posterior_collapse"):
            yield f"{title}: the posterior has collapsed: the code says nothing of the picture"


def _bias(likelihood: dict[str, Any]) -> str:
    """What more draws would change, in a few words; nothing where there were too few to tell."""
    if "nll_bias" not in likelihood:
        return ""
    left = likelihood["nll_bias"]
    so = (
        f"so about {left:.2f} too high" if math.isfinite(left) else "nobody knows how much too high"
    )
    return f"; {likelihood['nll_few']:.2f} by a tenth of them, {so}"
