"""What W&B shows of a training: its name, the configuration that identifies it, its charts."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from genbench.config import ART, Config, roles
from genbench.families import FAMILIES, Family, family_of
from genbench.metrics import METRICS, ScoreName
from genbench.metrics.table import RANKED_BY
from genbench.scalars import MEASURED

LONGEST = 60  # characters of a name
# said first, or of no interest
UNNAMED = ("data", "image_size", "eval_every", "eval_images", "precision")
SHORT = {"epochs": "{:g}ep", "minutes": "{:g}min", "patience": "patience {:g}"}
EXTRACTOR = "lite0"  # of the scores while training


def run_name(config: Config) -> str:
    """The model, its data, what differs from the defaults, the seed: `gan-folder-64px bce s1`.

    At most `LONGEST` characters; `+2` stands for two differences that did not fit.
    """
    usual = type(config)(data=config.data, data_dir=config.data_dir)
    size = getattr(config, "image_size", 0)
    shown = size and (config.data in ART or size != getattr(usual, "image_size", 0))
    name = f"{config.model}-{config.data}" + (f"-{size}px" if shown else "")
    differing = [
        field
        for field, role in roles(type(config)).items()
        if role.key and field not in UNNAMED and getattr(config, field) != getattr(usual, field)
    ]
    shared = roles(Config)  # of all families: less telling than a family's own
    differing.sort(key=lambda field: (not isinstance(getattr(config, field), str), field in shared))
    words = [_word(field, getattr(config, field)) for field in differing]
    seed = f" s{config.seed}"
    for taken in range(len(words), -1, -1):
        more = f" +{len(words) - taken}" if taken < len(words) else ""
        full = " ".join([name, *words[:taken]]) + more + seed
        if len(full) <= LONGEST:
            return full
    return name[: LONGEST - len(seed)] + seed


def _word(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no {name}"
    if isinstance(value, str):
        return value or f"no {name}"
    return SHORT[name].format(value) if name in SHORT else f"{name}={value:.4g}"


def place(config: Config) -> dict[str, str]:
    """Where in W&B a training's flags put it, and what they call it there."""
    names = ("group", "project", "entity", "name", "tags", "notes", "job_type")
    return {name: getattr(config, name) for name in names}


def of_training(config: Config, n: int, floors: dict[str, float]) -> dict[str, Any]:
    """What config.json says for W&B alone.

    Args:
        config: The training's.
        n: Pictures a side of its scores while training.
        floors: Of these scores, by name: what real pictures get against others.
    """
    family = family_of(config)
    return {
        "name": run_name(config),
        "tags": [config.model, config.data],
        "fields": identifying(type(config)),
        "better": better(family, scores(family, [n])),
        "floors": floors,
        "hidden": secondary(family),
    }


def identifying(kind: type[Config]) -> list[str]:
    """The fields that tell trainings apart, and so are W&B's columns; others are the machine's."""
    return [name for name, role in roles(kind).items() if role.key] + ["seed"]


def secondary(family: Family) -> list[str]:
    """The scalars of a discriminator that `genbench workspace` alone draws: W&B's page is long."""
    wanted = {name for panel in _losses(family) for name in panel.metrics}
    wanted |= {f"val/{name}" for name in ("d_real", "d_fake", "accuracy", "spread", "histogram_kl")}
    return [n for n in family.scalars if family.adversarial and f"val/{n}" not in wanted]


def scores(family: Family, numbers: Iterable[int]) -> list[str]:
    """The names of the scores while training, of so many pictures a side; the ranking one first."""
    if "generate" not in family.can:
        return []
    metrics = sorted(METRICS.values(), key=lambda metric: metric.name != RANKED_BY)
    return [
        str(ScoreName(metric.name, extractor=EXTRACTOR, n=n))
        for n in numbers
        for metric in metrics
        if metric.while_training
    ]


def better(family: Family, sample_scores: Iterable[str]) -> dict[str, str]:
    """Which way is better, by the names of the validation scalars where one is."""
    directions = {name: scalar.better for name, scalar in family.scalars.items()}
    directions |= {name: ScoreName.parse(name).scalar.better for name in sample_scores}
    return {name: direction for name, direction in directions.items() if direction}


@dataclasses.dataclass(frozen=True)
class Panel:
    """A chart.

    kind: lines over epochs, pictures by step, bars of the ends of runs, a table, or one line a run
        through hyper-parameters (parallel).
    """

    kind: Literal["lines", "pictures", "bars", "table", "parallel"]
    title: str
    metrics: tuple[str, ...]
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
    """Charts below a title, the first of which is the one that people want."""

    title: str
    panels: tuple[Panel, ...]


ORDER = (
    *("Losses", "Real and fake", "Distance to real pictures", "Pictures", "Latent space"),
    *("More scalars", "What it costs"),
)
FIRST = ("loss", "elbo", "kl", "reconstruction")
PAIRS = {  # of a discriminator, in one chart
    "Probability that D gives, real and generated": ("d_real", "d_fake"),
    "D's logits, real and generated": ("logit_real", "logit_fake"),
    "D's ROC AUC, held-out and training pictures": ("accuracy", "accuracy_train"),
}


def sections(family: Family, numbers: Sequence[int], space: Sequence[str] = ()) -> list[Section]:
    """The charts of a family's trainings, from what it logs.

    Args:
        family: Whose.
        numbers: Pictures a side of the scores while training, of all runs that are to be seen.
        space: The hyper-parameters that its search varies; empty: it has no search.
    """
    found = [
        Section("Losses", tuple(_losses(family))),
        Section("Real and fake", tuple(_real_and_fake(family))),
        Section("Distance to real pictures", tuple(_distances(family, numbers))),
        Section("Pictures", tuple(_pictures(family))),
        Section("Latent space", tuple(_latents(family))),
        Section("More scalars", tuple(_others(family))),
        Section("What it costs", tuple(_costs())),
        Section(f"Search of {family.title}", tuple(_search(family, numbers, space))),
    ]
    return [section for section in found if section.panels]


def _costs() -> Iterable[Panel]:
    for name in ("lr", "images_per_second", "peak_memory"):
        yield Panel("lines", MEASURED[name].title, (f"train/{name}",), MEASURED[name].unit)


def _both(name: str, family: Family) -> Panel:
    """A scalar of both splits in one chart."""
    scalar = family.scalars[name]
    title = f"{scalar.title}{scalar.arrow}"
    return Panel("lines", title, (f"train/{name}", f"val/{name}"), scalar.unit)


def _losses(family: Family) -> Iterable[Panel]:
    if family.adversarial:
        yield Panel("lines", "Losses of G and D", ("train/loss_g", "train/loss_d"))
        yield Panel("lines", "Losses of G and D, held-out pictures", ("val/loss_g", "val/loss_d"))
    yield from (_both(name, family) for name in FIRST if name in family.scalars)


def _real_and_fake(family: Family) -> Iterable[Panel]:
    for title, (one, other) in PAIRS.items() if family.adversarial else ():
        splits = ("val",) if other == "accuracy_train" else ("train", "val")
        for split in splits:
            where = ", validation" if split == "val" and len(splits) > 1 else ""
            names = [name for name in (one, other) if name in family.scalars]
            yield Panel("lines", title + where, tuple(f"{split}/{name}" for name in names))


def _distances(family: Family, numbers: Sequence[int]) -> Iterable[Panel]:
    """Each score with its floor: what real pictures get against others."""
    for name in scores(family, numbers):
        score = ScoreName.parse(name)
        title = f"{score.title}{score.scalar.arrow}, and its floor"
        yield Panel("lines", title, (f"val/{name}", f"val/{score.as_floor}"))


def _pictures(family: Family) -> Iterable[Panel]:
    if "generate" in family.can:
        yield Panel("pictures", "Samples of one z by epoch", ("samples/samples",))
    if {"encode", "decode"} <= family.can:
        title = "Held-out pictures, each before its reconstruction"
        yield Panel("pictures", title, ("samples/reconstructions",))


def _latents(family: Family) -> Iterable[Panel]:
    if "encode" in family.can:
        yield Panel("table", "Codes and labels, validation", ("val/latents",))
        yield Panel("table", "Codes and labels, test", ("test/latents",))
        names = ("val/knn_accuracy", "val/probe_accuracy")
        yield Panel("bars", "Accuracy of the code by k-NN and linear probe ↑", names)


def _others(family: Family) -> Iterable[Panel]:
    """What is left."""
    drawn = {name.split("/")[1] for panel in _losses(family) for name in panel.metrics}
    drawn |= {name.split("/")[1] for panel in _real_and_fake(family) for name in panel.metrics}
    yield from (_both(name, family) for name in family.scalars if name not in drawn)


def _search(family: Family, numbers: Sequence[int], space: Sequence[str]) -> Iterable[Panel]:
    if not space:
        return
    usual = family.config()
    for n in numbers or [0]:
        objective = f"val/{usual.objective(n)[0]}"
        yield Panel("parallel", f"Hyper-parameters and {objective}", (*space, objective))
        if "kid" not in objective:
            break
    yield Panel("lines", "Best value after each trial", ("search/best", "search/value"))
    yield Panel("table", "Trials", ("search/trials",))


def all_sections(
    numbers: dict[str, list[int]], spaces: dict[str, list[str]], models: Iterable[str]
) -> list[Section]:
    """The charts of some families, by name: a chart that several have is there once."""
    of_each = [sections(FAMILIES[m], numbers.get(m, []), spaces.get(m, [])) for m in models]
    merged: dict[str, dict[tuple[str, ...], Panel]] = {}
    for section in sorted((s for group in of_each for s in group), key=_order):
        panels = merged.setdefault(section.title, {})
        for panel in section.panels:
            there = panels.setdefault(panel.metrics, panel)
            if there.title != panel.title:  # of one name, and not of one meaning
                name = panel.metrics[0].partition("/")[2].replace("_", " ")
                panels[panel.metrics] = Panel(panel.kind, name.capitalize(), panel.metrics)
    return [Section(title, tuple(panels.values())) for title, panels in merged.items()]


def _order(section: Section) -> int:
    return ORDER.index(section.title) if section.title in ORDER else len(ORDER)
