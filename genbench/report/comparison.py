"""Which of two groups is better by a score, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from genbench.console import listed
from genbench.report.group import Group, unlike
from genbench.scalars import Scalar
from genbench.stats import Claims, Comparison, Sample

COVERED = 0.01  # a recall below it
MOST_SEEN = 10.0  # a factor beyond which nobody asks whether it would have shown


def compared(
    claims: Claims, a: Group, b: Group, name: str, claim: str, subject: str, ratio: bool
) -> str | None:
    """A sentence on two groups, by Welch's test over their seeds.

    Args:
        claims: All comparisons of the report.
        a: A group.
        b: Another.
        name: The score, as for `Group.score`; the smaller is better unless it says otherwise.
        claim: What the better one does: `reconstructs better`.
        subject: What is compared: `reconstruction`.
        ratio: Say a difference as a factor, too.

    Returns:
        The sentence; None where one of the two has no such score, or no finite one, or where it is
        of another thing.
    """
    first, second, scalar = a.score(name), b.score(name), a.scalar(name)
    if unlike((a, b), scalar):
        return None
    if not first or not second or not math.isfinite(first.mean - second.mean):
        return None
    a_wins = (scalar.sign or -1) * (first.mean - second.mean) > 0
    winner, loser = (a, b) if a_wins else (b, a)
    best, other = (first, second) if a_wins else (second, first)
    unit = f" {scalar.unit}" if scalar.unit else ""
    numbers = f"{best.show(scalar.digits)} against {other.show(scalar.digits)}{unit}"
    comparison = claims.compare(best, other, scalar.is_distance)
    if comparison.differ:
        low, high = sorted((first.mean, second.mean))
        factor = f", a factor of {high / low:.1f}" if ratio and low > 0 else ""
        said = f"The {winner.named} {claim} than the {loser.named}: {numbers}"
        return f"{said}{factor} ({comparison.basis})."
    if comparison.p is None and first.mean != second.mean:
        mine, theirs = first.show(scalar.digits), second.show(scalar.digits)
        return (
            f"By {subject}, the {a.named} has {mine} and the {b.named} {theirs}{unit}: without "
            "several seeds of both nobody knows which is better."
        )
    return (
        f"No difference in {subject} could be shown between the {winner.named} and the "
        f"{loser.named}: {numbers} ({comparison.basis}{_visible(comparison, scalar)})."
    )


def _visible(comparison: Comparison, scalar: Scalar) -> str:
    """Which difference would have shown; that none that can be would have, if so few were seen."""
    least = comparison.visible
    if least is None:
        return ""
    most = MOST_SEEN if comparison.by_ratio else scalar.within[1] - scalar.within[0]
    if least > most:
        return "; these seeds are too few to show one"
    size = f"a factor of {least:.2f}" if comparison.by_ratio else scalar.show(least)
    return f"; {size} would have shown in 80 % of cases"


@dataclass(frozen=True)
class Lead:
    """How surely the first of several, in order, is the best: by a test against each other one.

    second: The test against the next one.
    unproven: The titles of others that the first is not shown to be better than.
    basis: Of the claim: of the test that was the hardest to pass.
    """

    second: Comparison
    unproven: list[str]
    basis: str

    @classmethod
    def of(cls, tests: Sequence[tuple[str, Comparison]]) -> "Lead":
        """By the titles of the others, in order, and the tests of the first against them."""
        second = tests[0][1]
        if not second.differ:
            return cls(second, [], second.basis)
        if unproven := [title for title, test in tests if not test.differ]:
            return cls(
                second, unproven, f"{second.basis}; not shown against the {listed(unproven)}"
            )
        title, hardest = max(tests, key=lambda pair: pair[1].p or 0.0)
        by = f" against the {title}" if hardest is not second else ""
        return cls(second, [], f"{hardest.basis}{by}")


def no_merit(metric: str, recall: Sample | None) -> bool:
    """Whether a score is the precision of samples with next to no recall: noise may have it."""
    return metric == "precision" and recall is not None and recall.mean < COVERED


def above(group: Group, name: str, bound: float) -> bool | None:
    """Whether a score's 95 % interval over seeds lies above a bound; None: of a single seed."""
    sample = group.score(name)
    interval = sample.interval() if sample else None
    return None if interval is None else interval[0] > bound
