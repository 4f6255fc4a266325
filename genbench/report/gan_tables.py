"""Part 2's tables and notes, as rows of text."""

from collections.abc import Sequence

from genbench.report import tables
from genbench.report.gan import FEW_SOURCES, GAN, Distance, GANChapter
from genbench.report.tables import heads, parameters, provenance, score_row

# name, title, digits after the point
MEASURES = (
    ("best/histogram_kl", "KL of the colour histograms, best epoch (nats a pixel) ↓", 3),
    ("last/js_bound", "Jensen-Shannon, lower bound, last epoch (nats, at most 0.69) ↓", 3),
    ("last/accuracy_ratio", "D's accuracy on training / held-out pictures, last epoch", 2),
    ("best_epoch", "Best epoch", 1),
    ("steps", "Steps trained", 0),
    ("seconds", "Seconds a training", 1),
)
STABILITY = (
    ("oscillation_d", "Oscillation of the discriminator's loss", 3),
    ("oscillation_g", "Oscillation of the generator's loss", 3),
    ("saturated_epochs", "Longest stretch with D saturated (epochs) ↓", 1),
    ("spread", "Spread of the samples (1: the real pictures')", 2),
    ("nearest", "Distance to the nearest other sample (1: the real pictures')", 2),
)
FEW = 500  # held-out pictures; a distance to fewer says little


def scores(chapter: GANChapter) -> list[list[str]]:
    """A header, each distance above its floor, then the other measures."""
    entries = chapter.entries
    rows = [*heads(entries)]
    for distance in compared(chapter):
        floor = "the same between real pictures (floor)"
        rows.append(score_row(entries, distance.key, distance.title, distance.digits))
        rows.append(score_row(entries, distance.floor, floor, distance.digits))
    rows += [score_row(entries, name, title, digits) for name, title, digits in MEASURES]
    return [*filter(None, rows), parameters(entries)]


def compared(chapter: GANChapter) -> list[Distance]:
    """The distances to show: the headline's first; those to validation pictures for want of any."""
    final = [part for part in ("test", "train") if chapter.distances(part)]
    final.sort(key=lambda part: part != chapter.split)
    parts = final if chapter.split != "val" else [*final, "val"]
    return [distance for part in parts for distance in chapter.distances(part)]


def stability(chapter: GANChapter) -> list[list[str]]:
    """A header, means over seeds, and how many trainings went wrong."""
    entries = chapter.entries
    rows = [score_row(entries, name, title, digits) for name, title, digits in STABILITY]
    return [
        heads(entries)[0],
        *filter(None, rows),
        ["Trainings that collapsed", *(_share(*collapses(entry)) for entry in entries)],
        [
            "Trainings that diverged",
            *(_share(len(entry.failed), len(entry.ended)) for entry in entries),
        ],
    ]


def collapses(entry: GAN) -> tuple[int, int]:
    """How many trainings ended collapsed, of how many of which that is known."""
    known = [run.summary.get("stability", {}).get("collapsed") for run in entry.ended]
    known = [flag for flag in known if flag is not None]
    return sum(known), len(known)


def _share(k: int, n: int) -> str:
    return f"{k} of {n}" if n else "—"


def hyperparameters(entries: Sequence[GAN]) -> list[list[str]]:
    """As in part 1, those in which the columns differ first."""
    head, *rows = tables.hyperparameters(entries)
    return [head, *sorted(rows, key=lambda row: len(set(row[1:])) == 1)]


def notes(chapter: GANChapter) -> list[str]:
    """What the scores depend on, for the lines under the table."""
    seeds = max(len(entry.runs) for entry in chapter.entries)
    lines = [
        f"Mean ± standard deviation over training seeds (up to {seeds}), each with the weights of "
        "its best epoch by validation KID; trainings that diverged are left out of means.",
        "Distances compare features of N samples with those of N real pictures. They depend on N "
        "and on the network (lite0: EfficientNet-Lite0 of ImageNet): compare them only where both "
        "are the same, and never with a published FID. The floor is the distance between real "
        "pictures of unlike sources: as near as samples can be expected to come.",
        "Colours: KL(real || generated) of joint histograms, 8 bins a channel, over all pixels. "
        "Jensen-Shannon: lower bound on the divergence that the discriminator proves on validation "
        "pictures; a weak one proves little. An accuracy ratio above 1: it knows training "
        "pictures better.",
    ]
    return lines + _few(chapter) + provenance(chapter, "pictures")


def _few(chapter: GANChapter) -> list[str]:
    """A warning where too few pictures are held out to judge by."""
    if chapter.data in FEW_SOURCES:
        return [
            f"Held-out scores say little here: of {chapter.data} two tiles are held out, and crops "
            "of the same tile are much alike. Judge by the distance to training pictures."
        ]
    sizes = [d.n for d in compared(chapter) if d.split != "train"]
    if not sizes or min(sizes) >= FEW:
        return []
    return [f"Held-out scores say little here: they compare {min(sizes)} pictures a side."]


def stability_notes() -> list[str]:
    """What the rows of the second table mean."""
    return [
        "Oscillation: standard deviation of the logged training loss around its straight line. "
        "Losses of unlike kinds have scales of their own. Saturated: D(real) - D(fake) above 0.95. "
        "Spread and nearest are Euclidean distances between thumbnails at the last epoch, in units "
        "of the real pictures'; a spread below 0.25 or a nearest below 0.1 is a collapse."
    ]
