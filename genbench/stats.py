"""Means over repetitions, their spread, intervals and tests: one meaning of ± and of [a, b].

`m ± s` is the mean and the standard deviation over training seeds. `m [a, b]` is a mean and its
95 % interval. SciPy is imported where it is used: it takes half a second.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
Interval = tuple[float, float]


@dataclass(frozen=True)
class Sample:
    """A number of several repetitions, one value each."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Sample":
        """A sample of these values; there must be one at least."""
        return cls(tuple(map(float, values)))

    @property
    def n(self) -> int:
        """How many repetitions."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Over the repetitions."""
        return statistics.fmean(self.values)

    @property
    def std(self) -> float | None:
        """The standard deviation over repetitions; None of one alone, or of infinite ones."""
        if self.n < 2 or not all(map(math.isfinite, self.values)):
            return None
        return statistics.stdev(self.values)

    def interval(
        self, error: float = math.nan, within: Interval = (-math.inf, math.inf)
    ) -> Interval | None:
        """The 95 % interval of the mean, by Student's t.

        Args:
            error: The standard error of a value that stands alone, which is taken for normal.
            within: The least and the most that the number can be: the interval is cut there.

        Returns:
            Its ends; None where neither repetitions nor `error` tell.
        """
        freedom = math.inf
        if self.std is not None:
            error, freedom = self.std / math.sqrt(self.n), self.n - 1
        elif self.n > 1:
            return None
        ends = around(self.mean, error, freedom)
        return ends and (max(ends[0], within[0]), min(ends[1], within[1]))

    def show(self, digits: int) -> str:
        """`mean ± std`; a single value alone."""
        spread = "" if self.std is None else f" ± {self.std:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}"

    def show_interval(
        self, digits: int, error: float = math.nan, within: Interval = (-math.inf, math.inf)
    ) -> str:
        """`mean [a, b]`; the mean alone where there is no interval."""
        return f"{self.mean:.{digits}f}{show_ends(self.interval(error, within), digits)}"


def around(mean: float, error: float, freedom: float = math.inf) -> Interval | None:
    """The 95 % interval around a mean with this standard error; None if the error is not finite."""
    from scipy.stats import t

    reach = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return (mean - reach, mean + reach) if math.isfinite(reach) and math.isfinite(mean) else None


def show_ends(interval: Interval | None, digits: int) -> str:
    """` [a, b]`, or nothing."""
    return f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]" if interval else ""


@dataclass(frozen=True)
class Comparison:
    """Welch's t-test of two samples' means (two-sided, unequal variances)."""

    a: Sample
    b: Sample
    p: float | None  # None: one of the two is a single value, so that nobody knows

    @property
    def differ(self) -> bool:
        """Whether their means differ by more than chance would make of 95 % of such samples."""
        return self.p is not None and self.p < 1 - CONFIDENCE

    @property
    def basis(self) -> str:
        """`p = 0.012, Welch's test, 3 and 5 seeds`."""
        if self.p is None:
            return "a single seed"
        p = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.2g}"
        return f"{p}, Welch's test, {self.a.n} and {self.b.n} seeds"


def compare(a: Sample, b: Sample) -> Comparison:
    """Whether two samples differ, over repetitions of each (Welch 1947)."""
    if a.std is None or b.std is None:
        return Comparison(a, b, None)
    if a.std == b.std == 0:
        return Comparison(a, b, 1.0 if a.mean == b.mean else 0.0)
    from scipy.stats import ttest_ind_from_stats  # unlike ttest_ind it takes equal values

    test = ttest_ind_from_stats(a.mean, a.std, a.n, b.mean, b.std, b.n, equal_var=False)
    return Comparison(a, b, float(test.pvalue))


def difference(a: Sample, b: Sample) -> tuple[float, Interval | None]:
    """a's mean minus b's, and its 95 % interval by Welch's test; None where one is a single value.

    Its degrees of freedom are those of Welch and Satterthwaite (Welch 1947).
    """
    gap = a.mean - b.mean
    if a.std is None or b.std is None:
        return gap, None
    squares = [one.std**2 / one.n for one in (a, b) if one.std is not None]
    if not sum(squares):
        return gap, (gap, gap)
    parts = sum(s**2 / (one.n - 1) for s, one in zip(squares, (a, b), strict=True))
    return gap, around(gap, math.sqrt(sum(squares)), sum(squares) ** 2 / parts)


def disjoint(a: Interval | None, b: Interval | None) -> bool | None:
    """Whether two intervals have no point in common; None where one of them is not known."""
    return None if a is None or b is None else a[1] < b[0] or b[1] < a[0]


def share(flags: Sequence[bool]) -> str:
    """`2 of 3`."""
    return f"{sum(flags)} of {len(flags)}"
