"""A score's name, such as `test/floor_kid_lite0_n1500`: all that the number depends on."""

import re
from dataclasses import dataclass, replace

from genbench.metrics.table import METRICS
from genbench.scalars import Scalar

SHORT = {"efficientnet-lite0": "lite0", "lenet-digits": "lenet", "inception-v3-compat": "inception"}
SPLITS = {
    "train": "training",
    "val": "validation",
    "test": "held-out",
    "folder": "given",
}  # the real pictures of a split, in words
DRAWN = re.compile(r"(?P<metric>\w+?)_is(?P<draws>[1-9]\d*)(_n(?P<n>[1-9]\d*))?", re.ASCII)
COUNTED = re.compile(r"(?P<stem>\w+)_n(?P<n>[1-9]\d*)", re.ASCII)


def short_name(extractor: str) -> str:
    """An extractor's name as a part of scores' names."""
    return SHORT.get(extractor, extractor.replace("-", "_"))


@dataclass(frozen=True)
class ScoreName:
    """The name of a scalar or of a score of samples; `parse` and `str` are each other's inverse.

    metric: A scalar's name, or one of METRICS.
    split: The pictures it speaks of (train, val, test); empty: none is named.
    floor: It is the score of real pictures against others.
    extractor: Whose features, by their short name (lite0, lenet, inception); empty: none's.
    n: Pictures a side, or over how many a likelihood is averaged; 0: not said.
    draws: Of z for each picture, in a likelihood by importance sampling; 0: it is none.
    """

    metric: str
    split: str = ""
    floor: bool = False
    extractor: str = ""
    n: int = 0
    draws: int = 0

    def __str__(self) -> str:
        name = _by_inception(self.metric) if self.extractor == "inception" else self.metric
        parts = [name, self.draws and f"is{self.draws}", self.extractor, self.n and f"n{self.n}"]
        text = "_".join(str(part) for part in parts if part)
        return f"{self.split}/" * bool(self.split) + "floor_" * self.floor + text

    @classmethod
    def parse(cls, text: str) -> "ScoreName":
        """Read a name; what is no score of samples is a scalar by its whole name."""
        split, slash, name = text.rpartition("/")
        if not slash or split not in SPLITS:
            split, name = "", text
        floor = name.startswith("floor_")
        rest = name.removeprefix("floor_")
        if match := COUNTED.fullmatch(rest):
            for metric in sorted(METRICS, key=len, reverse=True):
                for prefix in {metric, _by_inception(metric)}:
                    extractor = match["stem"].removeprefix(f"{prefix}_")
                    score = cls(metric, split, floor, extractor, int(match["n"]))
                    if extractor and str(score) == text:
                        return score
        if match := DRAWN.fullmatch(rest):
            return cls(match["metric"], split, floor, "", int(match["n"] or 0), int(match["draws"]))
        return cls(name, split)

    @property
    def is_sample_score(self) -> bool:
        """Whether it is a score of samples against real pictures."""
        return bool(self.extractor)

    @property
    def as_floor(self) -> "ScoreName":
        """The same of real pictures against others."""
        return replace(self, floor=True)

    @property
    def within_split(self) -> "ScoreName":
        """The same without its split."""
        return replace(self, split="")

    @property
    def scalar(self) -> Scalar:
        """How the metric is written, whatever its extractor and N; a plain scalar by its name."""
        scalar: Scalar = Scalar(title=self.metric)
        if self.is_sample_score:
            scalar = METRICS.get(self.metric, scalar)
        by_inception = (self.metric, self.extractor) == ("fd", "inception")
        return replace(scalar, title="FID") if by_inception else scalar

    @property
    def title(self) -> str:
        """In a sentence, `KID (lite0, N = 500)`."""
        if not self.is_sample_score:
            return self.metric
        return f"{self.scalar.title} ({self.extractor}, N = {self.n})"

    @property
    def reals(self) -> str:
        """What samples are held against, in words: `held-out pictures`."""
        return f"{SPLITS[self.split]} pictures"


def _by_inception(metric: str) -> str:
    """What a metric is called if it is by Inception, whose Fréchet distance alone is the FID."""
    return re.sub("^fd", "fid", metric)
