"""Tables of what each configuration reached and was, and which is better."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

from genbench.config import ART, HYPER_PARAMETER
from genbench.console import counted
from genbench.families import FAMILIES
from genbench.metrics.names import ScoreName
from genbench.record import Record
from genbench.report.choice import few_sources, held_out_sources
from genbench.report.comparison import compared
from genbench.report.group import Group, field_roles, unlike
from genbench.report.part import Content, Contests, Part, minutes_of
from genbench.scalars import MEASURED, Scalar

FEW = 500  # held-out pictures; a distance to fewer says little
OF_PICTURES = ("crops", "images", "held_out")  # what digits have no use for
CODES = ("floor_bce", "ms_ssim", "active_units", "knn_accuracy", "probe_accuracy")
ALWAYS = ("latent_dim", "lr")  # in the line of hyper-parameters, beside what is not a default
SETTINGS = 7  # in that line
EQUAL = 1.1  # times as long a training is as good as as long
TAKEN = ("best_epoch", "steps", "training_seconds", "seconds")
UNDIRECTED = ("kl", "active_units")  # a table has them, though neither way is better
CLAIMS = {  # of the better of two configurations, and what is compared
    "bce": ("reconstructs better", "reconstruction"),
    "elbo": ("has the higher ELBO", "the ELBO"),
    "knn_accuracy": ("encodes more of the label", "k-NN accuracy of the code"),
}
NOTES = {  # what rows depend on, by words in the headings that call for it
    "BCE": "Sums over pixels and latent dimensions, means over images, in nats. ELBO and KL take "
    "one draw of z an image; BCE, MSE and PSNR are of the image decoded from the code's mean. Of "
    "grey pixels, which count as probabilities, the least possible BCE is their own entropy.",
    "MS-SSIM": "MS-SSIM (Wang et al. 2003) is of the same image, at the scales that fit into it.",
    "k-NN": "k-NN (k = 5) and linear probe learn from up to 10,000 training codes. Active units: "
    "dimensions whose mean code has a variance above 0.01 (Burda et al. 2016).",
    "N = ": "Distances compare features of N samples with those of N real pictures. They depend on "
    "N and on the network (lite0: EfficientNet-Lite0 of ImageNet): compare them only where both "
    "are the same, and never with a published FID. The floor is the distance between real pictures "
    "of unlike sources: as near as samples can be expected to come.",
    "colour": "Colours: KL(real || generated) of joint histograms, 8 bins a channel, over all "
    "pixels.",
}


def scores(part: Part) -> Iterator[Content]:
    """The table of scores, and comparisons of the first column with each other one."""
    groups = part.groups
    if not groups:
        return
    seeds = ["Training seeds", *(str(len(group.runs)) for group in groups)]
    rows = [*_distance_rows(part), *_scalar_rows(part)]
    rows += [row(groups, name, MEASURED[name]) for name in TAKEN]
    weights = ["Parameters", *(f"{group.about['parameters']:,}" for group in groups)]
    table = [heads(groups), seeds, *filter(None, rows), weights]
    called = [text for word, text in NOTES.items() if any(word in cells[0] for cells in table)]
    notes = [*called, *_few(part)]
    heading = "Scores" if part.judged_by_samples else f"Scores on the {part.split} split"
    heading += " at the end of training"
    yield Content(heading, claimed(part), table, notes)


def claimed(part: Part) -> list[str | None]:
    """The first group against each other one, by the scores that say who is better."""
    first, *others = part.groups
    said = []
    for other in others:
        sizes = [group.config.get("latent_dim") for group in (first, other)]
        for name, words in CLAIMS.items():
            sentence = compared(
                part.claims, first, other, f"{part.split}/{name}", *words, ratio=False
            )
            if sentence and name == "bce" and None not in sizes and sizes[0] != sizes[1]:
                sentence = f"{sentence[:-1]}; their codes have {sizes[0]} and {sizes[1]} numbers."
            said.append(sentence)
    return said


def heads(groups: Sequence[Group]) -> list[str]:
    """The header of a table with a column a group."""
    return ["", *(group.title for group in groups)]


def row(groups: Sequence[Group], name: str, scalar: Scalar) -> list[str]:
    """A score's heading and its mean ± std in each column; empty where no column has one."""
    samples = [group.score(name) for group in groups]
    cells = [sample.show(scalar.digits) if sample else "—" for sample in samples]
    return [scalar.heading, *cells] if any(samples) else []


def shown_distances(part: Part) -> list[ScoreName]:
    """Final scores of samples, those of the part's split first; of validation for want of any."""
    final = sorted(("test", "train"), key=lambda split: split != part.split)
    splits = final if part.split != "val" else [*final, "val"]
    return [name for split in splits for name in part.sample_scores(split)]


def as_row(name: ScoreName) -> Scalar:
    """How a score of samples is written among others: to which reals, by what, of how many."""
    to = "to" if name.scalar.better == "minimize" else "against"
    title = f"{name.scalar.title} {to} {name.reals} ({name.extractor}, N = {name.n})"
    return replace(name.scalar, title=title, unit="")


def _distance_rows(part: Part) -> Iterator[list[str]]:
    """Each score of samples above its floor."""
    for name in shown_distances(part):
        yield row(part.groups, str(name), as_row(name))
        floor = Scalar(title="the same between real pictures (floor)", digits=name.scalar.digits)
        yield row(part.groups, str(name.as_floor), floor)


def shown_scalars(part: Part) -> dict[str, Scalar]:
    """The scalars that say how good a model is: those with a direction, and few more.

    Of a family that is not registered here, all.
    """
    shown: dict[str, Scalar] = {}
    for group in part.leading:
        names = (ScoreName.parse(key) for run in group.runs for key in run.scores)
        recorded = {n.metric: group.scalar(n.metric) for n in names if not n.is_sample_score}
        known = (*UNDIRECTED, ScoreName.parse(group.about["objective"]).metric)
        for name, scalar in (group.family.scalars if group.family else recorded).items():
            if scalar.better or name in known or not group.family:
                shown[name] = scalar
    shown |= {name: MEASURED[name] for name in CODES}
    return {name: scalar for name, scalar in shown.items() if not unlike(part.groups, scalar)}


def _scalar_rows(part: Part) -> Iterator[list[str]]:
    """Each scalar on the part's split; what is only measured while training, at the best epoch."""
    for name, scalar in shown_scalars(part).items():
        best = replace(scalar, title=f"{scalar.title}, best epoch")
        here = row(part.groups, f"{part.split}/{name}", scalar)
        yield here or row(part.groups, f"best/{name}", best)


def certainty(part: Part) -> list[str]:
    """How sure the numbers are: what ± is, of which data, code and machines, what is left out."""
    return [*_meaning(part), *_budgets(part), *_provenance(part)] if part.groups else []


def _budgets(part: Part) -> Iterator[str]:
    """How much training each had, where that differs."""
    known = [(g.title, g.score("steps"), g.score("training_seconds")) for g in part.groups]
    told = [f"{title} {a.mean:,.0f} steps in {b.mean:,.0f} s" for title, a, b in known if a and b]
    seconds = [b.mean for _, _, b in known if b]
    if len(told) > 1 and max(seconds) > EQUAL * min(seconds):
        yield f"Budgets differ: {', '.join(told)} a training."


def _meaning(part: Part) -> Iterator[str]:
    """What ± is, when a difference is said, and what the likelihood is of."""
    seeds = max(len(group.runs) for group in part.groups)
    once = ", scored once; searches never see the test split" if part.split == "test" else ""
    chosen = {_is_chosen(run) for group in part.groups for run in group.runs}
    which = "its best epoch by validation" if True in chosen else "its last epoch"
    which += " (its last, where no validation score chose one)" if len(chosen) > 1 else ""
    yield (
        f"Mean ± standard deviation over training seeds (up to {seeds}), each with the weights of "
        f"{which}{once}; trainings that diverged are left out of means."
    )
    binarized = {g.config.get("binarize", "none") for g in part.groups} - {"none"}
    pixels = f", pixels binarised ({', '.join(sorted(binarized))})" if binarized else ""
    if likelihood := part.groups[0].config.get("likelihood"):
        yield f"Likelihood {likelihood}{pixels}."


def _is_chosen(run: Record) -> bool:
    """Whether a validation score chose the epoch whose weights are scored."""
    return bool(run.curve("val", run.about.get("objective", "").removeprefix("val/"))[1])


def _few(part: Part) -> Iterator[str]:
    """A warning where too few pictures are held out to judge by."""
    sizes = [name.n for name in shown_distances(part) if name.split != "train"]
    for sources in [held_out_sources(group) for group in part.groups if few_sources(group)][:1]:
        yield (
            f"Held-out scores say little here: of {part.data_title} {sources} pictures are held "
            "out, and crops of the same one are much alike. Judge by the distance to training "
            "pictures."
        )
        return
    if sizes and min(sizes) < FEW:
        yield (
            f"Held-out scores compare {min(sizes)} pictures a side: of so few the Fréchet distance "
            "is large between real pictures too, as the floor shows."
        )


def _provenance(part: Part) -> Iterator[str]:
    """Which data, code and machines the scores come from, and what was left out."""
    runs = [run.about for group in part.groups for run in group.ended]
    images, versions = runs[0]["images"], runs[0]["versions"]
    commits = sorted({commit[:9] for about in runs if (commit := about.get("commit"))})
    at = f" at commit {', '.join(commits)}" if commits else ""
    machines = sorted(
        {f"{about['hardware']} ({counted(about['threads'], 'thread')})" for about in runs}
    )
    counts = ", ".join(f"{n} {status}" for status, n in sorted(part.counts.items()))
    yield (
        f"Data {part.data_title}: {images['train']} training, {images['val']} validation and "
        f"{images.get('test', 'no')} test pictures, SHA-256 {runs[0]['data_hash'][:12]}…."
    )
    yield (
        f"Made{at} with genbench {versions['genbench']}, torch "
        f"{versions['torch']} on {', '.join(machines)}. Runs in the folder: {counts}."
    )
    yield from (f"Left out: {what}." for what in part.left_out)


def hyperparameters(part: Part) -> Iterator[Content]:
    """A row a hyper-parameter, those in which the columns differ first."""
    names = {name: None for group in part.groups for name in group.config if _shown(group, name)}
    rows = [[name, *(_cell(group, name) for group in part.groups)] for name in names]
    rows.sort(key=lambda cells: len(set(cells[1:])) == 1)
    yield Content("Hyper-parameters", table=[heads(part.groups), *rows] if rows else [])


def _shown(group: Group, name: str) -> bool:
    """Whether the field's role says so; a field that is not known any more is shown."""
    if name in OF_PICTURES and group.config.get("data") not in ART:
        return False
    return field_roles(group.model).get(name, HYPER_PARAMETER).shown


def text_of(value: object) -> str:
    """A hyper-parameter's value."""
    return f"{value:.4g}" if isinstance(value, float) else str(value) or "none"


def _cell(group: Group, name: str) -> str:
    """The value, `(searched)` behind one that a search chose."""
    text = text_of(group.config.get(name, "—"))
    searched = group.chosen_by and name in group.chosen_by["space"]
    return f"{text} (searched)" if searched else text


def settings(group: Group, contests: Contests = (), without: Sequence[str] = ()) -> str:
    """The hyper-parameters in a line: what a search chose, what is no default, and how long.

    Args:
        group: Whose.
        contests: Which say how long in minutes.
        without: Fields that are told elsewhere.
    """
    known = FAMILIES.get(group.model)
    defaults = {f.name: f.default for f in fields(known.config)} if known else {}
    searched = group.chosen_by["space"] if group.chosen_by else {}
    names = [
        name
        for name, value in group.config.items()
        if (role := field_roles(group.model).get(name))
        and role.key
        and role.sweep == "search"
        and not role.compare
        and name
        not in ("epochs", "minutes", "conditional", "eval_every", "eval_images", *group.told)
        and name not in without
        and (name in ALWAYS or name in searched or value != defaults.get(name))
    ][:SETTINGS]
    length = counted(group.config.get("epochs", 0), "epoch")
    if timed := minutes_of(group, contests):
        length = counted(timed[0], "minute")
    return ", ".join([*(f"{name} {text_of(group.config[name])}" for name in names), length])
