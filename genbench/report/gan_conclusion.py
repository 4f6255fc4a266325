"""What the numbers say of GANs, in sentences computed from them."""

import math
import statistics

from genbench.record import Record
from genbench.report.conclusion import clear, compare
from genbench.report.gan import GAN, REALS, Distance, GANChapter
from genbench.report.gan_tables import collapses
from genbench.report.searches import about_search
from genbench.report.select import Score

MEMORISED = 1.1  # accuracy on training pictures / on held-out ones above which D knows the former
GAIN = 0.05  # a validation KID that fell by this share was still falling


def conclude(chapter: GANChapter) -> list[str]:
    """The part's conclusion, a sentence or two a finding; comparisons first."""
    best, *others = chapter.entries
    found = chapter.distances(chapter.split)
    said: list[str | None] = []
    for other in others:
        said += [nearer(best, other, distance) for distance in found]
        if other.baseline or len(others) == 1:
            said += steadier(best, other)
    said += [above_floor(best, distance) for distance in found]
    for entry in chapter.entries:
        said += [about_endings(entry), about_saturation(entry), about_memory(entry)]
        said += [about_length(entry), about_events(entry)]
    said.append(about_search("GAN", chapter.study))
    return [sentence for sentence in said if sentence]


def nearer(a: GAN, b: GAN, distance: Distance) -> str | None:
    """Whose samples are nearer to real pictures, and by what factor."""
    claim = f"comes nearer to the {REALS[distance.split]} pictures by {distance.name}"
    return compare(a, b, distance.key, claim, "", distance.digits, lower=True, ratio=True)


def steadier(a: GAN, b: GAN) -> list[str | None]:
    """Whose losses fluctuated less."""
    kinds = {"oscillation_d": "discriminator", "oscillation_g": "generator"}
    said = [
        compare(a, b, name, f"has a steadier {kind} loss", "", 3, lower=True, ratio=True)
        for name, kind in kinds.items()
    ]
    if any(said) and a.config["loss"] != b.config["loss"]:
        losses = f"{a.config['loss']} and {b.config['loss']}"
        said.append(f"Their losses, {losses}, have unlike scales: compare the oscillations warily.")
    return said


def above_floor(entry: GAN, distance: Distance) -> str | None:
    """How far samples are from real pictures, measured by how far those are from each other."""
    score, floor = entry.score(distance.key), entry.score(distance.floor)
    if not score or not floor:
        return None
    digits, reals = distance.digits, f"{REALS[distance.split]} pictures"
    numbers = f"{score.show(digits)} against {floor.mean:.{digits}f}"
    where = f"By {distance.name}, the samples of the {entry.named} are"
    if score.mean <= floor.mean or (score.std is not None and not clear(score, floor)):
        return f"{where} no farther from {reals} than other real pictures are: {numbers}."
    fixed = distance.kind != "kid" and floor.mean > 0  # KID's floor is 0 but for chance
    ratio = f", {score.mean / floor.mean:.1f} times the floor" if fixed else ""
    alone = " (a single seed)" if score.std is None else ""
    return f"{where} farther from {reals} than other real ones are: {numbers}{ratio}{alone}."


def about_endings(entry: GAN) -> str:
    """How many trainings collapsed or diverged."""
    total, counts = len(entry.ended), (collapses(entry)[0], len(entry.failed))
    names = [
        f"{k} {what}" for k, what in zip(counts, ("ended collapsed", "diverged"), strict=True) if k
    ]
    trainings = "1 training" if total == 1 else f"{total} trainings"
    found = " and ".join(names) or "none ended collapsed or diverged"
    return f"Of {trainings} of the {entry.named}, {found}."


def about_saturation(entry: GAN) -> str | None:
    """Whether the discriminator left the generator without a gradient."""
    known = [run.summary.get("stability", {}).get("saturated_epochs") for run in entry.ended]
    stretches = [float(stretch) for stretch in known if stretch is not None]
    if not stretches:
        return None
    if not max(stretches):
        return f"The discriminator of the {entry.named} was never saturated."
    k, n = sum(stretch > 0 for stretch in stretches), len(stretches)
    return (
        f"The discriminator of the {entry.named} was saturated in {k} of {n} trainings, for up to "
        f"{max(stretches):.1f} epochs on end, in which the generator learns little."
    )


def about_memory(entry: GAN) -> str | None:
    """Whether the discriminator knows its training pictures by heart."""
    ratio = entry.score("last/accuracy_ratio")
    if not ratio:
        return None
    whose = f"discriminator of the {entry.named}"
    numbers = f"its accuracy on them is {ratio.show(2)} times that on held-out ones"
    if ratio.mean <= MEMORISED:
        return f"The {whose} does not memorise training pictures: {numbers}."
    if not clear(ratio, Score(1.0, None)):
        return f"Whether the {whose} memorises training pictures is up to the seed: {numbers}."
    return (
        f"The {whose} memorises training pictures: {numbers}; "
        "more pictures or diffaugment may help."
    )


def about_length(entry: GAN) -> str | None:
    """Whether the validation KID was still falling in the last third of the training."""
    gains = [gain for run in entry.runs if (gain := _gain(run)) is not None]
    if not gains:
        return None
    k = sum(gain > GAIN for gain in gains)
    mean = statistics.mean(gains)
    change = f"{'fell' if mean > 0 else 'rose'} by {abs(mean):.0%}"
    text = f"In the last third of its training the validation KID of the {entry.named} {change}"
    if k == len(gains):
        return f"{text}: longer training may help."
    if k:
        return f"{text} on average, in {k} of {len(gains)} trainings by more than {GAIN:.0%}."
    return f"{text}: longer training alone promises little."


def _gain(run: Record) -> float | None:
    """The share by which the mean validation KID of the last third is below the third before."""
    kids = run.curve("val", run.about["objective"].removeprefix("val/"))[1]
    third = len(kids) // 3
    if not third:
        return None
    before, last = statistics.mean(kids[-2 * third : -third]), statistics.mean(kids[-third:])
    return (before - last) / abs(before) if before else None


def about_events(entry: GAN) -> str | None:
    """What went wrong, in which training and when."""
    seen: dict[str, list[str]] = {}
    for run in entry.ended:
        for what, epoch in run.summary.get("events", {}).items():
            seen.setdefault(what, []).append(f"seed {run.config['seed']}: epoch {epoch}")
    for run in entry.failed:
        epoch = max((row["epoch"] for row in run.metrics()), default=math.nan)
        when = f"seed {run.config['seed']}: epoch {epoch:.1f}"
        seen.setdefault("the training has diverged", []).append(f"{when}, {_reason(run)}")
    if not seen:
        return None
    events = "; ".join(f"{what} ({', '.join(where)})" for what, where in seen.items())
    return f"Noticed while the {entry.named} trained: {events}."


def _reason(run: Record) -> str:
    """What was no longer finite, without the advice behind it."""
    return run.summary.get("error", "").removeprefix("Diverged: ").partition(";")[0]
