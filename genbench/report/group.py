"""The runs of one configuration, one a training seed: a column of the tables."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from genbench.config import Config, Role, roles
from genbench.families import FAMILIES, Family
from genbench.metrics.names import ScoreName
from genbench.metrics.table import METRICS
from genbench.record import Record, Study
from genbench.runs import scalar_of
from genbench.scalars import Scalar
from genbench.stats import Sample


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """The runs of one configuration, one a training seed.

    `runs` finished, by seed; `failed` diverged; `chosen_by` is the study whose winner they are;
    `side` is what a contest calls it.
    """

    runs: list[Record]
    failed: list[Record] = field(default_factory=list)
    chosen_by: Study | None = None
    side: str = ""

    @property
    def ended(self) -> list[Record]:
        """All trainings, those that finished at the front."""
        return self.runs + self.failed

    @property
    def about(self) -> dict[str, Any]:
        """The first seed's config.json."""
        return cast(dict[str, Any], self.ended[0].about)

    @property
    def config(self) -> dict[str, Any]:
        """The flat configuration, the same for every run but for the seed."""
        return self.ended[0].config

    @property
    def minutes(self) -> float:
        """Those that a training was given; 0 where epochs were."""
        return float(self.config.get("minutes", 0))

    @property
    def model(self) -> str:
        """Its family's name."""
        return self.ended[0].model

    @property
    def family(self) -> Family | None:
        """Its family; None if that is not registered here."""
        return FAMILIES.get(self.model)

    @property
    def can(self) -> frozenset[str]:
        """Which of `CAPABILITIES` its family has."""
        return self.family.can if self.family else frozenset()

    @property
    def judged_by_samples(self) -> bool:
        """Whether its samples are all there is to judge."""
        return self.family is not None and self.family.judged_by_samples

    @property
    def variant(self) -> tuple[str, ...]:
        """Its values of what the family's baseline chooses by name: architecture and loss."""
        return (*(str(self.config.get(name)) for name in self.told), *self.learned)

    @property
    def told(self) -> tuple[str, ...]:
        """The fields that its title names."""
        baseline = self.family.baseline if self.family else {}
        return tuple(name for name, value in baseline.items() if value and isinstance(value, str))

    @property
    def learned(self) -> tuple[str, ...]:
        """`conditional` of a model that learned classes; nothing of others."""
        return ("conditional",) if self.config.get("conditional") else ()

    @property
    def is_baseline(self) -> bool:
        """Whether its whole configuration is its family's published one."""
        return self.family is not None and self.family.is_baseline(self.config)

    @property
    def title(self) -> str:
        """Above a column: `dcgan, bce (baseline)`; the family's title where it has no variants."""
        name = ", ".join(self._names)
        return f"{name} (baseline)" if self.is_baseline else name

    @property
    def _names(self) -> tuple[str, ...]:
        if self.side:
            return (self.side,)
        if self.variant == self.learned:
            return (family_title(self.model), *self.learned)
        return self.variant

    @property
    def full_title(self) -> str:
        """Among other families: `GAN (dcgan, bce, baseline)`; its title where that says it all."""
        first, *others = dict.fromkeys((family_title(self.model), *self._names))
        others = [name.replace("(", "").replace(")", "") for name in others]
        others += ["baseline"] * self.is_baseline
        return f"{first} ({', '.join(others)})" if others else first

    @property
    def named(self) -> str:
        """In a sentence, behind `the`: `baseline (dcgan with bce)`."""
        own = [name for name in self._names if name not in self.learned]
        name = " ".join([*self.learned, " with ".join(own)])
        return f"baseline ({name})" if self.is_baseline else name

    @property
    def tested(self) -> bool:
        """Whether all its finished runs were scored on the test split."""
        return bool(self.runs) and all(run.tested for run in self.runs)

    def logs(self, split: str, name: str) -> bool:
        """Whether any training logged a scalar of a split."""
        return any(run.curve(split, name)[1] for run in self.ended)

    def scalar(self, name: str) -> Scalar:
        """How a scalar is written; `name` as in a record, with or without its split."""
        return scalar_of(self.model, name)

    def score(self, name: str) -> Sample | None:
        """A number of the finished runs (see `value`); None unless each of them has it."""
        known = [number for run in self.runs if (number := value(run, name)) is not None]
        return Sample.of(known) if known and len(known) == len(self.runs) else None


def value(run: Record, name: str) -> float | None:
    """A number of a run: of its summary, `stability` or scores (`test/x`).

    `best/x` is val/x at the best epoch, `last/x` at the last one; `steps`, `epochs` and
    `training_seconds`, those of its steps alone, are of its rows.
    """
    if name in ("steps", "epochs"):
        return max((math.ceil(row[name[:-1]]) for row in run.metrics()), default=None)
    if name == "training_seconds":
        timed = [row for row in run.metrics() if row.get("images_per_second")]
        steps = zip([0, *(row["step"] for row in timed)], timed, strict=False)
        batch = run.config.get("batch_size", 0)
        times = [(r["step"] - before) * batch / r["images_per_second"] for before, r in steps]
        return sum(times) if sum(times) else None
    when, _, scalar = name.partition("/")
    if when in ("best", "last"):
        epochs, values = run.curve("val", scalar)  # minutes may cut the last epoch short
        rows = dict(zip(map(math.ceil, epochs), values, strict=True))
        return rows.get(
            max(rows, default=0) if when == "last" else run.summary.get("best_epoch", 0)
        )
    known: dict[str, Any] = {**run.summary, **run.summary.get("stability", {}), **run.scores}
    number = known.get(name)
    return float(number) if isinstance(number, int | float) else None


def epochs_done(group: Group) -> float:
    """How many epochs the longest of its finished trainings took; of one cut short, a part."""
    return max((row["epoch"] for run in group.runs for row in run.metrics()), default=0.0)


def family_title(model: str) -> str:
    """A family's title; its name if it is not registered here."""
    return FAMILIES[model].title if model in FAMILIES else model


def data_title(config: Mapping[str, Any]) -> str:
    """What a configuration's data set is called: a folder by its own name."""
    folder = Path(config.get("data_dir") or "").name if config["data"] == "folder" else ""
    return folder or cast(str, config["data"])


def field_roles(model: str) -> dict[str, Role]:
    """The roles of a family's fields; of one that is not registered here, of all `Config`s."""
    config = FAMILIES[model].config if model in FAMILIES else Config
    return roles(config)


def one_a_seed(records: Iterable[Record]) -> list[Record]:
    """By seed, and where a seed was run again the later run."""
    latest = {record.config["seed"]: record for record in records}
    return [latest[seed] for seed in sorted(latest)]


def make_groups(
    ended: Iterable[Record], studies: Sequence[Study], sides: Mapping[str, str] | None = None
) -> list[Group]:
    """The runs that differ in their seed alone; untested ones only where none was tested.

    Args:
        ended: Runs.
        studies: Searches.
        sides: What contests call configurations, by their keys.
    """
    by_key: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in ended:
        by_key[record.model, record.about["key"]].append(record)
    groups = []
    for key, records in by_key.items():
        tested = any(run.tested for run in records)
        alike = one_a_seed(r for r in records if r.tested == tested or r.status == "failed")
        chose = [s for s in studies if (s["model"], s.get("final_key")) == key]
        finished = [run for run in alike if run.status == "finished"]
        failed = [run for run in alike if run.status == "failed"]
        by, side = chose[-1] if chose else None, (sides or {}).get(key[1], "")
        groups.append(Group(runs=finished, failed=failed, chosen_by=by, side=side))
    return groups


def sample_scores(names: Iterable[str], split: str = "") -> list[ScoreName]:
    """Of names in records those of scores of samples, of a split: the largest N first."""
    parsed = [name for name in set(map(ScoreName.parse, names)) if name.is_sample_score]
    alike = [name for name in parsed if name.split == split and not name.floor]
    order = list(METRICS)
    return sorted(alike, key=lambda name: (-name.n, name.extractor, order.index(name.metric)))


def unlike(groups: Iterable[Group], scalar: Scalar) -> list[str]:
    """The fields in which the groups differ and which change what the scalar means."""
    configs = [group.config for group in groups]
    return [name for name in scalar.depends if len({_told(c.get(name)) for c in configs}) > 1]


def _told(value: Any) -> str:
    """A field's value; a family that has no such field does nothing of the kind."""
    return "" if value in (None, False, 0, "none") else str(value)
