"""Evaluations as lines of text."""

from collections.abc import Iterator

from genbench.evaluate.evaluation import Table
from genbench.evaluate.runs import Model
from genbench.rulers import BETTER, DIGITS, RANKED_BY, ranking

NATS = ("elbo", "elbo_gap", "rate", "distortion", "active_units")


def table_lines(table: Table) -> Iterator[str]:
    """A heading, then a line a score: each model's, the best first, and that of real pictures."""
    ruler = table.rows[0].ruler
    names = [name for name in DIGITS if any(name in row.values for row in table.rows)]
    reals = {"train": "training", "test": "held-out"}.get(ruler.split, "given")
    yield (
        f"\n{ruler.n} samples against {ruler.n} {reals} pictures of {ruler.size} px, by "
        f"{ruler.extractor} ({ruler.weights})"
    )
    rows = ranking(table.rows) if RANKED_BY in names else table.rows
    yield _line("", *(row.title for row in rows), "real pictures")
    yield _line("95 % intervals over", *(row.basis for row in rows), "")
    for name in names:
        arrow = "↑" if BETTER[name] > 0 else "↓"
        floor = f"{table.floor[name]:.{DIGITS[name]}f}" if name in table.floor else "—"
        cells = (row.show(name) for row in rows)
        yield _line(f"{ruler.column(name)} {arrow}", *cells, floor)


def _line(name: str, *cells: str) -> str:
    return f"{name:26}" + "".join(f"{cell:>24}" for cell in cells)


def model_lines(model: Model) -> Iterator[str]:
    """Copies of training pictures, and a VAE's likelihood."""
    title = f"{model.sampler.title} ({model.record.path.name})"
    if copies := model.found.get("memorization"):
        verdict = "copies training pictures" if copies["alarm"] else "no sign of copies"
        yield (
            f"{title}: {verdict}: {100 * copies['copies']:.1f} % of samples are nearer to a "
            f"training picture than all but {100 * copies['expected']:.1f} % of held-out pictures "
            f"are, p = {copies['p']:.2g} ({copies['searched']} searched); the closest: "
            f"{model.record.path / copies['picture']}"
        )
    if found := model.found.get("likelihood"):
        numbers = ", ".join(f"{name} {found[name]:.2f}" for name in NATS)
        nll = f"{found['nll']:.2f} ± {found['nll_error']:.2f} by {found['draws']} draws"
        grey = "grey values as probabilities" if found["binarize"] == "none" else "binarised"
        what = f"{found['p']}, {grey}" if found["p"] == "bernoulli" else found["p"]
        yield (
            f"{title}, nats an image ({what}; {found['pictures']} held-out pictures): "
            f"-log p(x) {nll}, {numbers}"
        )
        if found["posterior_collapse"]:
            yield f"{title}: the posterior has collapsed: the code says nothing of the picture"
