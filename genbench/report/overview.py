"""The answer first: a row a model, the best first, who wins and what speaks against it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from genbench.console import counted, listed
from genbench.images import first_tiles
from genbench.metrics.names import SPLITS
from genbench.metrics.table import METRICS, RANKED_BY
from genbench.record import read_picture
from genbench.report.comparison import Lead, no_merit
from genbench.report.evaluated import about_priors
from genbench.report.group import Group, epochs_done, unlike
from genbench.report.part import Cell, Content, Contests, Drawing, Part
from genbench.report.sections.adversarial import collapses, for_a_while
from genbench.report.sections.evaluations import CONDITIONS
from genbench.report.sections.scores import settings
from genbench.report.sheets import array, kept_arrays, tiled
from genbench.report.standing import Row, rows_of
from genbench.stats import Claims, Sample

SHOWN = (RANKED_BY, "fd", "precision", "recall")  # scores of samples, in the table's order
OF_CODES = ("elbo", "bce")  # where there are codes
STRIP = 6  # samples in a row
DEARER = 1.2  # times the seconds of the next one that speak against a model
FEW_SEEDS = 3


def answer(data: str, parts: Sequence[Part]) -> Content:
    """The table on a data set, who wins, what speaks against it, and what the table is of."""
    rows, floor, way = rows_of(parts)
    names = [name for name in SHOWN if any(name in row.samples for row in rows)]
    contests = [one for part in parts for one in part.contests]
    coded = [row.group for row in rows if row.group.score("val/bce") or row.group.score("test/bce")]
    split = "test" if all(group.tested for group in coded) else "val"
    ways = _ways_of_codes(rows, split)
    table = [_head(names), *(_cells(row, names, contests, split, ways) for row in rows)]
    if names:
        shown = [METRICS[name].show(floor[name]) if name in floor else "—" for name in names]
        pad = len(table[0]) - len(names) - 3
        table.append(["other real pictures", "(the floor)", "—", *shown, *["—"] * pad])
    notes = [f"Best first by {METRICS[RANKED_BY].title}. {way}"] if names else []
    unscored = [row.title for row in rows if names and RANKED_BY not in row.samples]
    if unscored:
        notes.append(f"Not scored so: {', '.join(unscored)} (`genbench evaluate RUN …` does it).")
    spread = (
        "± is the standard deviation over training seeds, [a, b] a 95 % interval of one training."
    )
    of_codes = (
        f" ELBO and reconstruction are of the {SPLITS[split]} pictures at the best epoch; where "
        "these are of other pixels, or given a class, none is shown."
    )
    notes.append(spread + of_codes * bool(ways))
    notes += _about_nll(ways["nll"]) if "nll" in ways else []
    notes += _about_budgets(rows)
    notes += about_priors(row.evaluated for row in rows if row.evaluated)
    claims = parts[0].claims
    said = [about_winner(claims, rows, floor), about_against(claims, rows)]
    return Content(data, said, _without_empty(table), notes)


def _about_nll(row: Row) -> Iterator[str]:
    """What the likelihood is of, and what it may be held against."""
    known = _likelihoods(row)
    first = known[0]
    told = ["NLL is that of `genbench evaluate`"]
    told += [f"of {first['pictures']:,} held-out pictures"] if "pictures" in first else []
    for name, words in (("elbo", "their ELBO is"), ("nll_bias", "still too high by about")):
        if all(math.isfinite(one.get(name, math.nan)) for one in known):
            told.append(f"{words} {Sample.of(one[name] for one in known).mean:.2f}")
    grey = first.get("p") == "bernoulli" and first.get("binarize", "none") == "none"
    other = "; of grey pixels as probabilities: no published nats of binarised digits compare"
    yield f"{', '.join(told)}{other * grey}."


def _about_budgets(rows: Sequence[Row]) -> Iterator[str]:
    """How long each was trained, and whether a search chose its settings."""
    told = {}
    for row in rows:
        steps, epochs = row.group.score("steps"), epochs_done(row.group)
        how = "no search"
        if study := row.group.chosen_by:
            how = f"settings of {counted(len(study['trials']), 'trial')}"
        if steps:
            told[id(row.group)] = (
                f"{row.group.full_title} {steps.mean:,.0f} steps, {epochs:.2g} epochs, {how}"
            )
    if len(told) > 1:
        yield f"Trained for: {'; '.join(told.values())}."


def _head(names: Sequence[str]) -> list[Cell]:
    titles = [f"{METRICS[name].title}{METRICS[name].arrow}" for name in names]
    return [
        *("model", "hyper-parameters", "samples", *titles, "NLL (nats) ↓", "ELBO (nats) ↑"),
        *("BCE (nats) ↓", "seconds of training", "parameters", "seeds"),
    ]


def _ways_of_codes(rows: Sequence[Row], split: str) -> dict[str, Row]:
    """By name the first row that has such a number: those of rows unlike it mean something else."""
    having = {name: [r for r in rows if r.group.score(f"{split}/{name}")] for name in OF_CODES}
    having["nll"] = [row for row in rows if _nll(row)]
    return {name: found[0] for name, found in having.items() if found}


def _cells(
    row: Row, names: Sequence[str], contests: Contests, split: str, ways: Mapping[str, Row]
) -> list[Cell]:
    group = row.group
    nll = _nll(row, ways.get("nll"))
    scalars = [
        group.score(f"{split}/{name}")
        if name in ways and not unlike((group, ways[name].group), group.scalar(name))
        else None
        for name in OF_CODES
    ]
    seconds = group.score("training_seconds")
    count = f"{len(group.runs)}" + f" and {len(group.failed)} diverged" * bool(group.failed)
    return [
        *(row.title, settings(group, contests), strip(row) or "—"),
        *(row.shown.get(name, "—") for name in names),
        Sample.of(nll).show(2) if nll else "—",
        *(sample.show(2) if sample else "—" for sample in scalars),
        seconds.show(0) if seconds else "—",
        f"{group.about['parameters']:,}",
        count,
    ]


def _likelihoods(row: Row) -> list[dict[str, Any]]:
    return row.evaluated.having("likelihood") if row.evaluated else []


def _nll(row: Row, like: Row | None = None) -> list[float]:
    """Of each training; none if they are of another thing than those of another row."""
    known = _likelihoods(row)
    of_what = {str([one.get(n) for n in CONDITIONS]) for one in known + _likelihoods(like or row)}
    return [one["nll"] for one in known if "nll" in one and len(of_what) == 1]


def _without_empty(table: list[list[Cell]]) -> list[list[Cell]]:
    """The table without columns in which no row has anything."""
    used = [
        any(cell not in ("—", "") for cell in column[1:]) for column in zip(*table, strict=True)
    ]
    return [[cell for cell, keep in zip(row, used, strict=True) if keep] for row in table]


def strip(row: Row) -> Drawing | None:
    """A few of a model's samples in a line, as its first training left them."""
    pictures = None
    for run in row.group.runs[:1]:
        kept = row.evaluated.having("samples") if row.evaluated else []
        grid = (
            read_picture(row.evaluated.runs[0].path / kept[0]) if row.evaluated and kept else None
        )
        if grid is None and not (row.evaluated and row.evaluated.prior):
            if kept_arrays(run, "pictures", "samples"):
                pictures = array(run, "pictures", "samples")[:STRIP]
            elif grids := run.grids():
                grid = read_picture(grids[max(grids)])
        if grid is not None and grid.shape[1] // 8 > 2:
            pictures = first_tiles(grid, STRIP)
    if pictures is None or not len(pictures):
        return None
    draw = partial(tiled, np.stack([pictures]))
    caption = f"{len(pictures)} pictures generated by the {row.title}"
    return Drawing(f"{row.group.model}_answer", caption, draw, row.group.model)


def about_winner(claims: Claims, rows: Sequence[Row], floor: Mapping[str, float]) -> str | None:
    """Who comes nearest to real pictures, how sure that is, and how far it is from them."""
    scored = [r for r in rows if (s := r.score(RANKED_BY)) and math.isfinite(s.mean)]
    if not scored:
        return _about_reconstruction(claims, rows)
    first, metric = scored[0], METRICS[RANKED_BY]
    at = floor.get(RANKED_BY)
    real = "" if at is None else f"; other real pictures are at {metric.show(at)}"
    mine = f"{metric.title} {first.shown[RANKED_BY]}"
    if len(scored) == 1:
        alone = "no other model shown here was scored so"
        return f"The samples of the {first.title} have {mine}{real}; {alone}."
    second, best = scored[1], first.samples[RANKED_BY]
    tests = [
        (r.title, claims.compare(best, r.samples[RANKED_BY], metric.is_distance))
        for r in scored[1:]
    ]
    lead = Lead.of(tests)
    numbers = f"{mine} against {second.shown[RANKED_BY]} of the {second.title}{real}"
    if lead.second.p is None:
        return (
            f"The {first.title} has the best samples here: {numbers} (a single seed: not proven)."
        )
    if lead.second.leans:
        return f"The {first.title} may generate best: {numbers} ({lead.basis})."
    if not lead.second.differ:
        ahead = "; ".join(_losses(claims, second, [first]))
        but = f" T{ahead[1:]}." if ahead else ""
        return (
            f"The {first.title} and the {second.title} cannot be told apart as generators by "
            f"{numbers} ({lead.basis}).{but}"
        )
    better = f"better than the {second.title}" if lead.unproven else "best"
    return f"The {first.title} generates {better}: {numbers} ({lead.basis})."


def _about_reconstruction(claims: Claims, rows: Sequence[Row]) -> str | None:
    """Without scores of samples, who reconstructs best."""
    coded = [(row, sample) for row in rows if (sample := row.score("bce"))]
    if len(coded) < 2:
        return None
    (first, a), *others = coded
    scalar = first.group.scalar("bce")
    others = [pair for pair in others if not unlike((first.group, pair[0].group), scalar)]
    if not others:
        return None
    second, b = others[0]
    verdict = claims.compare(a, b, scalar.is_distance)
    sure = verdict.basis if verdict.differ else f"{verdict.basis}: not proven"
    return (
        f"No samples were scored by {METRICS[RANKED_BY].title}. By reconstruction the "
        f"{first.title} is first: {a.show(2)} against {b.show(2)} nats of the {second.title} "
        f"({sure})."
    )


def about_against(claims: Claims, rows: Sequence[Row]) -> str | None:
    """What speaks against the first row: where it loses, its trouble, its cost, its few seeds."""
    if not rows or (RANKED_BY not in rows[0].samples and len(rows) < 2):
        return None
    first, *others = rows
    reasons = [*_losses(claims, first, others), *_trouble(first.group), *_cost(first, others)]
    can = first.group.can
    if any(_nll(row) for row in others) and "log_weights" not in can:
        reasons.append("it has no likelihood")
    known = first.score(RANKED_BY)
    scored = known.n if known else len(first.group.runs)
    if 0 < scored < FEW_SEEDS:
        reasons.append(f"it was scored on {scored} training seed{'s' * (scored > 1)}")
    return f"Against the {first.title}: {'; '.join(reasons)}." if reasons else None


def _losses(claims: Claims, first: Row, others: Sequence[Row]) -> Iterator[str]:
    """By which scores another row is better, as far as seeds tell, and by how much."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in [*SHOWN[1:], *OF_CODES, "best/histogram_kl"]:
        scalar = (
            METRICS[name] if name in METRICS else first.group.scalar(name.removeprefix("best/"))
        )
        mine = first.score(name)
        alike = [row for row in others if not unlike((first.group, row.group), scalar)]
        theirs = [(row, sample) for row in alike if (sample := row.score(name))]
        if not mine or not theirs or not math.isfinite(mine.mean):
            continue
        row, best = max(theirs, key=lambda pair: (scalar.sign or -1) * pair[1].mean)
        if no_merit(name, row.score("recall")):
            continue
        shown, ours = scalar.show(best.mean), scalar.show(mine.mean)
        if (scalar.sign or -1) * (best.mean - mine.mean) <= 0 or shown == ours:
            continue
        tested = claims.compare(best, mine, scalar.is_distance)
        if tested.p is None or tested.differ or tested.leans:
            verb = "may have" if tested.leans else "has"
            title = scalar.title if scalar.title.isupper() else scalar.title.lower()
            title = title.replace("fréchet", "Fréchet").replace("bce", "BCE").replace("kl ", "KL ")
            numbers = f"{shown} against {ours}"
            found.setdefault((row.title, verb), []).append(f"{title} ({numbers})")
    for (title, verb), scores in found.items():
        yield f"the {title} {verb} the better {listed(scores)}"


def _trouble(group: Group) -> Iterator[str]:
    """What went wrong in how many of its trainings."""
    total, ended, passing = len(group.ended), sum(collapses(group)), len(for_a_while(group))
    for n, what in ((len(group.failed), "diverged"), (ended, "ended collapsed")):
        if n:
            yield f"{n} of {total} trainings {what}"
    if passing:
        yield f"{passing} of {total} trainings had collapsed for a while"


def _cost(first: Row, others: Sequence[Row]) -> Iterator[str]:
    """Its seconds against the next one's; both unlike budgets and a dear winner show here."""
    name = "training_seconds"
    mine = first.group.score(name)
    rivals = [r for r in others if r.group is not first.group and RANKED_BY in r.samples]
    theirs = [(r, s) for r in rivals if (s := r.group.score(name))]
    if mine and theirs:
        row, least = min(theirs, key=lambda pair: pair[1].mean)
        if least.mean and mine.mean > DEARER * least.mean:
            yield (
                f"a training took {mine.mean:.0f} s, {mine.mean / least.mean:.1f} times as long as "
                f"the {row.title}'s"
            )
