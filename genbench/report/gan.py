"""Part 2's choice: one data set, the best configuration and those it is held against."""

import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from genbench.record import Record, read_runs, read_studies
from genbench.report.select import Column, Selection, left_out, one_a_seed, ruler

# Scores under another value of these are of another kind and share no table.
RULER = ("data", "image_size", "crops", "images", "held_out", "data_hash")
BASELINE = ("dcgan", "bce")
COLUMNS = 3
FEW_SOURCES = {"propaganda-debian"}  # data sets that hold out so few pictures that they say little
KEY = re.compile(r"(floor_)?(fd|fid|kid)_(\w+)_n(\d+)")
KINDS = {"fd": "Fréchet distance", "fid": "FID", "kid": "KID"}
REALS = {"test": "held-out", "train": "training", "val": "validation"}


@dataclass(frozen=True)
class Distance:
    """A distance of samples to real pictures; its record's key says all that it depends on."""

    split: str
    kind: str
    extractor: str
    n: int

    @property
    def key(self) -> str:
        """As in the scores of a record."""
        return f"{self.split}/{self.kind}_{self.extractor}_n{self.n}"

    @property
    def floor(self) -> str:
        """The key of the same distance between real pictures."""
        return self.key.replace("/", "/floor_")

    @property
    def digits(self) -> int:
        """After the point."""
        return 4 if self.kind == "kid" else 1

    @property
    def name(self) -> str:
        """In a sentence."""
        return f"{KINDS[self.kind]} ({self.extractor}, N = {self.n})"

    @property
    def title(self) -> str:
        """In a table."""
        end = f"({self.extractor}, N = {self.n}) ↓"
        return f"{KINDS[self.kind]} to {REALS[self.split]} pictures {end}"


@dataclass(frozen=True, kw_only=True)
class GAN(Column):
    """A GAN's configuration; `failed` are the trainings that diverged."""

    @property
    def pair(self) -> tuple[str, str]:
        """Architecture and loss, which name it."""
        return self.config["arch"], self.config["loss"]

    @property
    def baseline(self) -> bool:
        """Whether it is what others are held against."""
        return self.pair == BASELINE

    @property
    def title(self) -> str:
        """Such as `resnet, r3`."""
        return ", ".join(self.pair) + (" (baseline)" if self.baseline else "")

    @property
    def named(self) -> str:
        """Such as `resnet with r3`."""
        text = " with ".join(self.pair)
        return f"baseline ({text})" if self.baseline else text

    @property
    def tested(self) -> bool:
        """Whether all its finished runs were scored against the test split."""
        return bool(self.runs) and all(run.tested for run in self.runs)

    @property
    def ended(self) -> list[Record]:
        """All trainings, by seed, whether they finished or diverged."""
        return one_a_seed(self.runs + self.failed)

    def value(self, run: Record, name: str) -> float | None:
        """A scalar of the summary, its `stability` or its scores, or `steps`.

        `last/x` is the last epoch's val/x, `best/x` the best epoch's.
        """
        if name == "steps":
            return max((row["step"] for row in run.metrics()), default=None)
        split, _, scalar = name.partition("/")
        if split in ("last", "best"):
            epochs, values = run.curve("val", scalar)  # minutes may cut the last epoch short
            rows = dict(zip(map(math.ceil, epochs), values, strict=True))
            epoch = max(rows, default=0) if split == "last" else run.summary.get("best_epoch", 0)
            return rows.get(epoch)
        found = run.summary | run.summary.get("stability", {}) | run.scores
        return float(found[name]) if name in found else None


@dataclass(frozen=True)
class GANChapter(Selection[GAN]):
    """Part 2, GANs, the best first.

    Its split is `test` (of few sources `train`) if every run was scored on it, else val.
    """

    study: dict[str, Any] | None = None  # the last search with one objective
    pareto: dict[str, Any] | None = None  # the last with two

    def distances(self, split: str) -> list[Distance]:
        """Those to a split's real pictures that any column has."""
        return distances([run for entry in self.entries for run in entry.runs], split)


def choose_gan(runs_dir: str, data: str = "") -> GANChapter | None:
    """Pick the data set with the most finished runs (or `data`) and the configurations to show.

    The best group of each architecture and loss: tested before others, then with more seeds (up to
    three), then with the smaller KID. The best of these and the baseline are shown, and others
    up to three columns. None: no GAN (on `data`) has finished or diverged.
    """
    records = [r for r in read_runs(runs_dir) if r.about.get("model") == "gan"]
    ended = [r for r in records if r.status == "finished" or r.diverged]
    ended = [r for r in ended if data in ("", r.config["data"])]
    if not ended:
        return None
    rulers = Counter(_ruler(r) for r in ended)
    finished = Counter(_ruler(r) for r in ended if r.status == "finished")
    mine = max(rulers, key=lambda one: (finished[one], rulers[one]))
    studies = read_studies(runs_dir)
    groups = _groups([r for r in ended if _ruler(r) == mine], studies)
    wanted = "train" if mine[0] in FEW_SOURCES else "test"
    entries = _shown(groups, wanted)
    split = wanted if all(entry.tested for entry in entries if entry.runs) else "val"
    others = left_out(rulers, mine, RULER) + _not_shown(groups, entries)
    counts = Counter(r.status for r in records)
    ours = [
        study
        for study in studies
        if study["model"] == "gan" and ruler(study["base"], RULER[:-1]) == mine[:-1]
    ]
    last: dict[int, dict[str, Any]] = {len(study["objectives"]): study for study in ours}
    return GANChapter(mine[0], split, entries, dict(counts), others, last.get(1), last.get(2))


def distances(runs: list[Record], split: str) -> list[Distance]:
    """Those to a split's real pictures that any run has: the largest N, Fréchet before KID."""
    found = set()
    for key in {key for run in runs for key in run.scores}:
        part, _, name = key.partition("/")
        match = KEY.fullmatch(name)
        if part == split and match and not match[1]:
            found.add(Distance(part, match[2], match[3], int(match[4])))
    return sorted(found, key=lambda one: (-one.n, one.extractor, one.kind))


def _ruler(run: Record) -> tuple[str, ...]:
    return ruler(run.config | {"data_hash": run.about["data_hash"][:12]}, RULER)


def _groups(ended: list[Record], studies: list[dict[str, Any]]) -> list[GAN]:
    """The runs that differ in their seed alone; untested ones only where none was tested."""
    by_key: dict[str, list[Record]] = defaultdict(list)
    for record in ended:
        by_key[record.about["key"]].append(record)
    groups = []
    for key, records in by_key.items():
        tested = any(run.tested for run in records)
        mine = one_a_seed(r for r in records if r.tested == tested or r.status == "failed")
        chose = [study for study in studies if study.get("final_key") == key]
        groups.append(
            GAN(
                runs=[run for run in mine if run.status == "finished"],
                failed=[run for run in mine if run.status == "failed"],
                chosen_by=chose[-1] if chose else None,
            )
        )
    return groups


def _shown(groups: list[GAN], wanted: str) -> list[GAN]:
    """The best group, the baseline's best, and others' up to three; by rank."""
    kids = {
        True: _usual_kid([group for group in groups if group.tested], wanted),
        False: _usual_kid([group for group in groups if not group.tested], "val"),
    }

    def rank(entry: GAN) -> tuple[bool, int, float]:
        score = entry.score(kids[entry.tested])
        return entry.tested, min(len(entry.runs), 3), -score.mean if score else -math.inf

    best_of_pair: dict[tuple[str, str], GAN] = {}
    for group in sorted(groups, key=rank, reverse=True):
        best_of_pair.setdefault(group.pair, group)
    best, *others = best_of_pair.values()
    chosen = sorted(others, key=lambda entry: not entry.baseline)[: COLUMNS - 1]
    return [best, *(entry for entry in others if entry in chosen)]


def _usual_kid(groups: list[GAN], split: str) -> str:
    """The KID to a split that most runs have: of others, the values are of another kind."""
    runs = [run for group in groups for run in group.runs]
    kids = [one.key for one in distances(runs, split) if one.kind == "kid"]
    return max(kids, key=lambda key: sum(key in run.scores for run in runs), default="")


def _not_shown(groups: list[GAN], entries: list[GAN]) -> list[str]:
    """The runs of the same data under other keys, in words."""
    counts: Counter[tuple[str, str]] = Counter()
    for group in groups:
        if group not in entries:
            counts[group.pair] += len(group.ended)
    shown = {entry.pair for entry in entries}
    return [
        f"{n} {'run' if n == 1 else 'runs'} of the {' with '.join(pair)}"
        + (" under other settings" if pair in shown else "")
        for pair, n in counts.items()
    ]
