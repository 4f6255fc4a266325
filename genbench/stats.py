"""Means over repetitions, their spread, intervals and tests: one meaning of ± and of [a, b].

`m ± s` is the mean and the standard deviation over training seeds. `m [a, b]` is a mean and its
95 % interval. SciPy is imported where it is used: it takes half a second.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

CONFIDENCE = 0.95
LEVEL = 0.05  # of a test: 1 - CONFIDENCE
POWER = 0.8  # of the differences that are said to have been visible
LARGEST = 700.0  # exponent of a float
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
    """Welch's t-test of two samples' means (two-sided, unequal variances; Welch 1947)."""

    a: Sample
    b: Sample
    p: float | None  # None: one of the two is a single value, so that nobody knows
    by_ratio: bool = False  # of logarithms
    level: float = LEVEL  # p must be below this
    among: int = 1  # so many comparisons that are judged together

    @property
    def differ(self) -> bool:
        """Whether their means differ by more than chance would make of 95 % of such samples."""
        return self.p is not None and self.p < self.level

    @property
    def leans(self) -> bool:
        """Whether they would differ if this were the only comparison, and among all do not."""
        return self.p is not None and self.level <= self.p < LEVEL

    @property
    def basis(self) -> str:
        """`p = 0.012, Welch's test, 3 and 5 seeds`; and where that is not enough among others."""
        if self.p is None:
            return "a single seed"
        p = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.2g}"
        several = f", not enough for one of {self.among} comparisons" if self.leans else ""
        return f"{p}, Welch's test, {self.a.n} and {self.b.n} seeds{several}"

    @property
    def visible(self) -> float | None:
        """The least difference of the means that this test would have shown in 80 % of cases.

        By the samples' own deviations; None where they do not tell. `by_ratio` it is a factor.
        """
        one, other, _ = _on_scale(self.a, self.b, self.by_ratio)
        error, freedom = _welch(one, other)
        if not error or not math.isfinite(error):
            return None
        from scipy.optimize import brentq
        from scipy.stats import nct, t

        least = float(t.ppf(1 - self.level / 2, freedom))
        shift = error * float(
            brentq(lambda shift: nct.sf(least, freedom, shift) - POWER, 0, 9 * least + 9)
        )
        return math.exp(min(shift, LARGEST)) if self.by_ratio else shift


def compare(a: Sample, b: Sample, distances: bool = False) -> Comparison:
    """Whether two samples differ, over repetitions of each.

    Args:
        a: A sample.
        b: Another.
        distances: They are of a score of which less is better (a distance, an error): where it is
            positive its spread grows with its size, and the ratio of the two is what is tested.
    """
    one, other, by_ratio = _on_scale(a, b, distances)
    error, freedom = _welch(one, other)
    if error is None:
        return Comparison(a, b, None, by_ratio)
    if not error:
        return Comparison(a, b, 1.0 if one.mean == other.mean else 0.0, by_ratio)
    from scipy.stats import t

    p = float(2 * t.sf(abs(one.mean - other.mean) / error, freedom))
    return Comparison(a, b, p, by_ratio)


def difference(a: Sample, b: Sample, distances: bool = False) -> tuple[float, Interval | None]:
    """a's mean minus b's, and its 95 % interval by the same test; None if one is a single value."""
    one, other, by_ratio = _on_scale(a, b, distances)
    error, freedom = _welch(one, other)
    gap = a.mean - b.mean
    if not error:
        return gap, None if error is None else (gap, gap)
    ends = around(one.mean - other.mean, error, freedom)
    if not ends or not by_ratio:
        return gap, ends
    low, high = (b.mean * math.expm1(min(end, LARGEST)) for end in ends)
    return gap, (low, high)


def _on_scale(a: Sample, b: Sample, distances: bool) -> tuple[Sample, Sample, bool]:
    """Two samples as they are compared, and whether that is by their logarithms.

    So are positive distances whose means and geometric means agree on which is the larger.
    """
    if distances and all(0 < value < math.inf for value in (*a.values, *b.values)):
        one, other = (Sample.of(map(math.log, sample.values)) for sample in (a, b))
        if (one.mean - other.mean) * (a.mean - b.mean) >= 0:
            return one, other, True
    return a, b, False


def _welch(a: Sample, b: Sample) -> tuple[float | None, float]:
    """The standard error of a difference of means, and its degrees of freedom.

    The latter are those of Welch and Satterthwaite; None where one is a single value.
    """
    if a.std is None or b.std is None:
        return None, math.nan
    squares = [a.std**2 / a.n, b.std**2 / b.n]
    if not (total := sum(squares)):
        return 0.0, math.nan
    shares = [square / total for square in squares]  # of squares, for they may be tiny
    freedom = 1 / sum(s**2 / (one.n - 1) for s, one in zip(shares, (a, b), strict=True))
    return math.sqrt(total), freedom


class Claims:
    """The comparisons that a report's sentences rest on, judged together (Holm 1979).

    Each is made twice: a first time to be counted, and again once `judge` knows them all. Then no
    difference is claimed wrongly in 95 % of reports, where each by itself would be wrong in 5 %.
    """

    def __init__(self) -> None:
        self.level = LEVEL
        self._known: dict[frozenset[tuple[float, ...]], float] = {}

    def __len__(self) -> int:
        return len(self._known)

    def compare(self, a: Sample, b: Sample, distances: bool = False) -> Comparison:
        """See `stats.compare`; `differ` where it does so among all."""
        found = compare(a, b, distances)
        if found.p is not None:
            self._known[frozenset((a.values, b.values))] = found.p
        return replace(found, level=self.level, among=len(self))

    def judge(self) -> None:
        """Find the level of what was compared: that of the first which fails, from the least p."""
        self.level = LEVEL
        for i, p in enumerate(sorted(self._known.values())):
            self.level = LEVEL / (len(self) - i)
            if p >= self.level:
                return


def disjoint(a: Interval | None, b: Interval | None) -> bool | None:
    """Whether two intervals have no point in common; None where one of them is not known."""
    return None if a is None or b is None else a[1] < b[0] or b[1] < a[0]


def share(flags: Sequence[bool]) -> str:
    """`2 of 3`."""
    return f"{sum(flags)} of {len(flags)}"
