"""What a discriminator thinks of real and generated pictures, and how stable training was."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from genbench.console import counted
from genbench.report.comparison import above, compared
from genbench.report.drawing import COLOURS, SEEDS, Line, Panel, alt_of, curves
from genbench.report.group import Group, one_a_seed, unlike
from genbench.report.part import Content, Drawing, Part
from genbench.report.sections.scores import heads, row
from genbench.stats import Claims, share

SIDES = (("d_real", COLOURS[0], "real"), ("d_fake", COLOURS[1], "generated"))  # pictures
COLLAPSED = "the samples have collapsed"  # an event, and what it is called
ROWS = ("oscillation_d", "oscillation_g", "saturated_epochs", "spread", "nearest")
LAST = ("js_bound", "accuracy_ratio")  # of the last epoch
STEADIER = {"oscillation_d": "discriminator", "oscillation_g": "generator"}
A_TENTH = 0.1  # of an epoch
PERFECT = 0.99  # ROC AUC on held-out pictures that leaves nothing to compare
MEMORISED = 1.1  # ROC AUC on training pictures / on held-out ones above which D knows the former
NORMALISED = (
    " Where it has batch normalisation, it sees real and generated batches by statistics of their "
    "own while training, validation pictures by running ones: lines and dots lie apart for that, "
    "too."
)
NOTES = [
    "Oscillation: standard deviation of the logged training loss around its straight line. Losses "
    "of unlike kinds have scales of their own. Saturated: D(real) - D(fake) above 0.95. Spread and "
    "nearest are Euclidean distances between thumbnails at the last epoch, in units of the real "
    "pictures'; a spread below 0.25 or a nearest below 0.1 is a collapse.",
    "Jensen-Shannon: lower bound on the divergence that the discriminator proves on validation "
    "pictures; a weak one proves little. ROC AUC: the share of pairs of a real and a generated "
    "picture in which the real one has the larger logit, 0.5 by chance; a ratio above 1: it knows "
    "training pictures better.",
]


def real_fake_scores(part: Part) -> Iterator[Content]:
    """The probability that the discriminator gives to real and generated pictures."""
    if groups := [group for group in part.groups if group.logs("train", "d_real")]:
        caption = (
            "Mean probability that the discriminator gives to real and to generated pictures: "
            f"lines while training, dots on validation pictures. {SEEDS}. Dashed: 0.5, where a "
            "discriminator ends that cannot tell them apart (hinge has no such point)."
        )
        normalised = ("dcgan", False)  # architecture, and whether D is computed
        if normalised in [(g.config.get("arch"), g.config.get("loss") == "drift") for g in groups]:
            caption += NORMALISED
        panels = []
        for group in groups:
            lines = [Line(group, "train", name, colour) for name, colour, _ in SIDES]
            for name, colour, label in SIDES:
                lines.append(Line(group, "val", name, colour, label, "o", dots=True))
            levels = () if group.config.get("loss") == "hinge" else (("", 0.5),)
            label = "probability of being real"
            panels.append(Panel(group.title, lines, label, (-0.02, 1.02), levels))
        draw = partial(curves, panels, 2, part.clock)
        alt = alt_of(panels)
        figure = Drawing("real_fake_scores", caption, draw, groups[0].model, alt=alt)
        yield Content("Real and fake scores", figures=[figure])


def stability(part: Part) -> Iterator[Content]:
    """How much training swung, and how many trainings went wrong."""
    groups = part.groups
    with_it = (g for g in groups if any("stability" in run.summary for run in g.ended))
    if not (lead := next(with_it, None)):
        return
    rows = [row(groups, name, lead.scalar(name)) for name in ROWS]
    for name in LAST:
        scalar = lead.scalar(name)
        last = replace(scalar, title=f"{scalar.title}, last epoch")
        rows.append(row(groups, f"last/{name}", last))
    collapsed = [share(flags) if (flags := collapses(group)) else "—" for group in groups]
    rows.append(["Trainings that collapsed", *collapsed])
    diverged = [f"{len(group.failed)} of {len(group.ended)}" for group in groups]
    rows.append(["Trainings that diverged", *diverged])
    pairs = [(a, b) for a, b in part.comparisons if b.is_baseline or len(groups) == 2]
    said: list[str | None] = [about_endings(group) for group in groups]
    said += [sentence for a, b in pairs for sentence in steadier(part.claims, a, b)]
    kinds = (about_saturation, about_memory, about_events)
    said += [about(group) for group in groups for about in kinds]
    yield Content("Stability", said, [heads(groups), *filter(None, rows)], NOTES)


def collapses(group: Group) -> list[bool]:
    """Which trainings ended collapsed, of those of which that is known."""
    flags = [run.summary.get("stability", {}).get("collapsed") for run in group.ended]
    return [bool(flag) for flag in flags if flag is not None]


def steadier(claims: Claims, a: Group, b: Group) -> list[str | None]:
    """Whose losses fluctuated less."""
    said = []
    for name, network in STEADIER.items():
        claim, subject = f"has a steadier {network} loss", f"the steadiness of the {network} loss"
        said.append(compared(claims, a, b, name, claim, subject, ratio=True))
    fields = unlike((a, b), a.scalar("loss_d"))
    if any(said) and fields:
        names = [", ".join(str(group.config.get(f)) for f in fields) for group in (a, b)]
        losses = " and ".join(names)
        said.append(f"Their losses, {losses}, have unlike scales: compare the oscillations warily.")
    return said


def about_endings(group: Group) -> str:
    """How many trainings collapsed or diverged."""
    counts = {"ended collapsed": sum(collapses(group)), "diverged": len(group.failed)}
    wrong = " and ".join(f"{k} {what}" for what, k in counts.items() if k)
    trainings = "1 training" if len(group.ended) == 1 else f"{len(group.ended)} trainings"
    none = "none ended collapsed or diverged" if collapses(group) else "none diverged"
    passing = for_a_while(group)
    if passing:
        where = ", ".join(f"seed {seed} from epoch {epoch}" for seed, epoch in passing)
        which = f"{len(passing)} that ended well" if wrong else str(len(passing))
        none = f"{none}, though {which} had collapsed for a while ({where})"
        wrong = f"{wrong}; {which} had collapsed for a while ({where})" if wrong else ""
    return f"Of {trainings} of the {group.named}, {wrong or none}."


def for_a_while(group: Group) -> list[tuple[int, int]]:
    """Seed and epoch of trainings that did not end collapsed and yet were seen to be."""
    return [
        (run.config["seed"], run.summary["events"][COLLAPSED])
        for run in one_a_seed(group.ended)
        if COLLAPSED in run.summary.get("events", {})
        and not run.summary.get("stability", {}).get("collapsed")
    ]


def about_saturation(group: Group) -> str | None:
    """Whether the discriminator left the generator without a gradient."""
    known = [run.summary.get("stability", {}).get("saturated_epochs") for run in group.ended]
    stretches = [float(stretch) for stretch in known if stretch is not None]
    if not stretches:
        return None
    if not max(stretches):
        return f"The discriminator of the {group.named} was never saturated."
    length, about = f"{max(stretches):.1f} epochs", group.about
    if max(stretches) < A_TENTH and "images" in about:
        steps = max(stretches) * about["images"]["train"] / group.config["batch_size"]
        length = counted(max(1, round(steps)), "step")
    return (
        f"The discriminator of the {group.named} was saturated in "
        f"{share([stretch > 0 for stretch in stretches])} trainings, for up to "
        f"{length} on end, in which the generator learns little."
    )


def about_memory(group: Group) -> str | None:
    """Whether the discriminator knows its training pictures by heart."""
    ratio = group.score("last/accuracy_ratio")
    if not ratio or not math.isfinite(ratio.mean):
        return None
    whose = f"discriminator of the {group.named}"
    numbers = f"its ROC AUC on them is {ratio.show(2)} times that on held-out ones"
    numbers += " (a single seed)" if ratio.n == 1 else ""
    held_out = group.score("last/accuracy")
    if held_out and held_out.mean > PERFECT:
        return (
            f"Whether the {whose} memorises training pictures cannot be told: it knows almost all "
            f"generated pictures, beside held-out ones too (ROC AUC {held_out.show(2)})."
        )
    if ratio.mean <= MEMORISED:
        return f"The {whose} does not memorise training pictures: {numbers}."
    if above(group, "last/accuracy_ratio", 1.0) is False:
        seeds = counted(ratio.n, "seed")
        return f"That the {whose} memorises training pictures is not shown by {seeds}: {numbers}."
    return (
        f"The {whose} memorises training pictures: {numbers}; "
        "more pictures or diffaugment may help."
    )


def about_events(group: Group) -> str | None:
    """What went wrong, in which training and when."""
    seen: dict[str, list[str]] = {}
    for run in one_a_seed(group.ended):
        passing = COLLAPSED if (run.config["seed"] in dict(for_a_while(group))) else ""
        for what, epoch in run.summary.get("events", {}).items():
            if what == passing:  # it is told with the endings
                continue
            seen.setdefault(what, []).append(f"seed {run.config['seed']}: epoch {epoch}")
    for run in group.failed:
        last = max((row["epoch"] for row in run.metrics()), default=math.nan)
        reason = run.summary.get("error", "").removeprefix("Diverged: ").partition(";")[0]
        when = f"seed {run.config['seed']}: epoch {last:.1f}, {reason}"
        seen.setdefault("the training has diverged", []).append(when)
    events = "; ".join(f"{what} ({', '.join(where)})" for what, where in seen.items())
    return f"Noticed while the {group.named} trained: {events}." if events else None
