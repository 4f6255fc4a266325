"""What the numbers say, in sentences computed from them: other numbers, other sentences."""

import math

from genbench.record import Record
from genbench.report.searches import about_search
from genbench.report.select import Chapter, Column, Entry, Score

CLEAR = 2.0  # a difference counts if it is above so many times the spread over seeds
LATE = 0.9  # a best epoch in the last tenth of a training says that it was short
COLLAPSED_NATS = 1.0  # a posterior that carries less than this about an image has collapsed


def conclude(chapter: Chapter) -> list[str]:
    """The report's conclusion, a sentence or two a finding; comparisons first."""
    ae, vae = chapter.entry("ae"), chapter.entry("vae")
    said: list[str | None] = []
    if ae and vae:
        said.append(compare(ae, vae, "bce", "reconstructs better", " nats of BCE", 2, lower=True))
        said.append(about_sizes(ae, vae))
        said.append(
            compare(ae, vae, "knn_accuracy", "has the code that knows more about the label", "", 4)
        )
        said.append(about_sampling(ae, vae))
    for entry in chapter.entries:
        said += [about_elbo(entry), about_code(entry), about_training(entry)]
        said.append(about_search(entry.title, entry.study, " nats"))
    return [sentence for sentence in said if sentence]


def compare(
    a: Column,
    b: Column,
    name: str,
    claim: str,
    unit: str,
    digits: int,
    lower: bool = False,
    ratio: bool = False,
) -> str | None:
    """Which of two models is better by one measure, and whether the seeds bear it out.

    With `ratio`, a difference that they bear out is also said as a factor.
    """
    first, second = a.score(name), b.score(name)
    if not first or not second:
        return None
    winner, loser = (a, b) if (first.mean < second.mean) == lower else (b, a)
    best, other = (first, second) if winner is a else (second, first)
    numbers = f"{best.show(digits)} against {other.show(digits)}{unit}"
    if first.std is None or second.std is None:
        return (
            f"The {winner.named} {claim} than the {loser.named} ({numbers}), "
            "but without several seeds of both nobody knows how sure that is."
        )
    if not clear(first, second):
        return (
            f"Neither {claim}: {a.named} {first.show(digits)}, {b.named} {second.show(digits)}"
            f"{unit}, a difference within {CLEAR:g} times the spread over seeds."
        )
    low, high = sorted((first.mean, second.mean))
    factor = f", a factor of {high / low:.1f}" if ratio and low > 0 else ""
    return f"The {winner.named} {claim} than the {loser.named}: {numbers}{factor}."


def clear(a: Score, b: Score) -> bool:
    """Whether two scores differ by more than their seeds do; a lone seed has no spread."""
    return abs(a.mean - b.mean) > CLEAR * math.hypot(a.std or 0.0, b.std or 0.0)


def about_sizes(ae: Entry, vae: Entry) -> str | None:
    """A warning where the codes differ in size: the comparison is then not on equal terms."""
    sizes = {entry.title: entry.runs[0].config["latent_dim"] for entry in (vae, ae)}
    if len(set(sizes.values())) == 1:
        return None
    return (
        f"The two have codes of {sizes['VAE']} and {sizes['AE']} numbers (VAE, AE), each as its "
        "own search chose: the larger code has the easier reconstruction."
    )


def about_sampling(ae: Entry, vae: Entry) -> str | None:
    """Why one of the two can be drawn from."""
    kl = vae.score("kl")
    if not kl:
        return None
    return (
        f"Only the {vae.title} has a prior to draw new images from: its KL term of "
        f"{kl.show(2)} nats ties the codes to N(0, 1), the {ae.title}'s codes lie where they like."
    )


def about_elbo(entry: Entry) -> str | None:
    """The bound and its two parts."""
    elbo, rec, kl = (entry.score(name) for name in ("elbo", "reconstruction", "kl"))
    if not elbo or not rec or not kl:
        return None
    return (
        f"The {entry.title}'s ELBO is {elbo.show(2)} nats an image: {rec.mean:.2f} for the "
        f"reconstruction and {kl.mean:.2f} of KL."
    )


def about_code(entry: Entry) -> str | None:
    """How much of the code is used, and whether the posterior collapsed."""
    active, kl = entry.score("active_units"), entry.score("kl")
    size = entry.runs[0].config["latent_dim"]
    if not active or not kl:
        return None
    if kl.mean < COLLAPSED_NATS:
        return (
            f"The {entry.title}'s posterior has collapsed: {kl.mean:.2f} nats of KL say next to "
            "nothing about an image; try a smaller beta, a longer kl_warmup or free_bits."
        )
    if round(active.mean) >= size:
        return f"The {entry.title} uses all of its {size} latent dimensions."
    return (
        f"The {entry.title} uses {active.mean:.1f} of its {size} latent dimensions; "
        "the means of the others hardly vary from image to image."
    )


def about_training(entry: Entry) -> str | None:
    """Whether training was long enough, too long, or over-fitted."""
    about = entry.runs[0].about
    name = about["objective"].removeprefix("val/")
    sign = -1 if about["direction"] == "maximize" else 1
    best, epochs = entry.score("best_epoch"), entry.runs[0].config["epochs"]
    gaps = [gap for run in entry.runs if (gap := _gap(run, name, sign)) is not None]
    if not best or not gaps:
        return None
    gap = sum(gaps) / len(gaps)
    side = "worse" if gap > 0 else "better"
    text = (
        f"Over its last epoch the {entry.title}'s validation {name} is {abs(gap):.2f} nats {side} "
    )
    text += "than its training mean"
    late = best.mean > LATE * epochs
    verdict = "more epochs may help" if late else "the epochs were enough"
    return f"{text}; its best epoch was {best.mean:.0f} of {epochs}: {verdict}."


def _gap(run: Record, name: str, sign: int) -> float | None:
    """Nats by which the last validation value is worse than the last epoch's training mean."""
    train, val = run.last_epoch("train", name), run.last_epoch("val", name)
    return None if train is None or val is None else sign * (val - train)
