"""What scores depend on, and what follows: only scores of one ruler are ranked."""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from genbench import UserError

SHORT = {"efficientnet-lite0": "lite0", "lenet-digits": "lenet", "inception-v3-compat": "inception"}
CONFIDENCE = 0.95
DIGITS = {"fd": 1, "kid": 4, "isc_mean": 2, "precision": 3, "recall": 3, "kl": 2, "fd_infinity": 1}
BETTER = {"fd": -1, "kid": -1, "kl": -1, "fd_infinity": -1}
BETTER |= {"isc_mean": 1, "precision": 1, "recall": 1}
RANKED_BY = "kid"  # unbiased, so that it may order at a small N


@dataclass(frozen=True)
class Ruler:
    """All that two scores must share to be compared."""

    extractor: str
    weights: str  # start of the SHA-256 of the extractor's weights
    reals: str  # start of the SHA-256 of the real pictures' pixels
    split: str  # train, test; `folder` of two folders
    size: int  # side of the pictures in pixels
    n: int  # pictures a side

    def column(self, metric: str) -> str:
        """A score's name in W&B and in tables: `fd_lite0_n1500`; by Inception FD is `fid`."""
        short = SHORT.get(self.extractor, self.extractor.replace("-", "_"))
        name = metric.replace("fd", "fid") if short == "inception" else metric
        return f"{name}_{short}_n{self.n}"


@dataclass(frozen=True)
class Row:
    """Scores of one model under one ruler: a value a draw for each metric."""

    title: str
    ruler: Ruler
    values: dict[str, list[float]]
    errors: dict[str, float] = field(default_factory=dict)  # by half samples, of a single draw
    over: str = "sampling seeds"  # what the draws are: else training seeds

    def mean(self, name: str) -> float:
        """Over the draws."""
        return statistics.mean(self.values[name])

    def interval(self, name: str) -> tuple[float, float] | None:
        """Of 95 % for the mean, of the metric against these real pictures.

        Student's t over two draws or more; of one by half samples, which vary the reals too. None
        where neither can be had.
        """
        from scipy.stats import t  # half a second to import

        values, freedom = self.values[name], math.inf
        error = self.errors.get(name, math.nan)
        if len(values) > 1 and all(map(math.isfinite, values)):
            error, freedom = statistics.stdev(values) / math.sqrt(len(values)), len(values) - 1
        reach = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
        return (self.mean(name) - reach, self.mean(name) + reach) if math.isfinite(reach) else None

    @property
    def basis(self) -> str:
        """What its intervals are of."""
        draws = max((len(values) for values in self.values.values()), default=0)
        return f"{draws} {self.over}" if draws > 1 else "half samples"

    def show(self, name: str) -> str:
        """`mean ± half the interval`, as text."""
        digits = DIGITS[name]
        if name not in self.values:
            return "—"
        interval = self.interval(name)
        reach = f" ± {interval[1] - self.mean(name):.{digits}f}" if interval else ""
        return f"{self.mean(name):.{digits}f}{reach}"


def ranking(rows: Sequence[Row], by: str = RANKED_BY) -> list[Row]:
    """The rows, the best first.

    Raises:
        UserError: Their rulers differ, or a row has no such score.
    """
    for row in rows[1:]:
        unlike = [
            f"{each.name} {getattr(rows[0].ruler, each.name)} and {getattr(row.ruler, each.name)}"
            for each in dataclasses.fields(Ruler)
            if getattr(rows[0].ruler, each.name) != getattr(row.ruler, each.name)
        ]
        if unlike:
            raise UserError(
                f"{rows[0].title} and {row.title} cannot be ranked: {', '.join(unlike)}; "
                "score both alike"
            )
    if missing := [row.title for row in rows if by not in row.values]:
        raise UserError(f"{missing[0]}: has no {by} to be ranked by")
    return sorted(rows, key=lambda row: -BETTER[by] * row.mean(by))
