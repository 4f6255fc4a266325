import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from genbench.stats import Claims, Comparison, Sample, compare, difference, disjoint, share

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8).filter(
    lambda values: np.std(values) > 1e-6
)


@given(VALUES)
def test_means_deviations_and_intervals_are_numpys_and_scipys(values):
    sample = Sample.of(values)
    assert sample.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert sample.std == pytest.approx(np.std(values, ddof=1))
    expected = scipy_stats.t.interval(
        0.95, len(values) - 1, np.mean(values), scipy_stats.sem(values)
    )
    assert sample.interval(error=1e9) == pytest.approx(expected)  # repetitions tell, not an error


POSITIVE = VALUES.map(lambda values: [abs(value) + 1e-3 for value in values]).filter(
    lambda values: np.std(values) > 1e-6
)


def scaled(a, b, distances):
    """Values as they are to be compared."""
    if not distances or min(*a, *b) <= 0:
        return a, b
    agree = (np.mean(a) - np.mean(b)) * (np.log(a).mean() - np.log(b).mean()) >= 0
    return (np.log(a), np.log(b)) if agree else (a, b)


@given(VALUES | POSITIVE, VALUES | POSITIVE, st.booleans())
def test_a_comparison_is_welchs_test_of_positive_distances_by_their_logarithms(a, b, distances):
    found = compare(Sample.of(a), Sample.of(b), distances)
    expected = scipy_stats.ttest_ind(*scaled(a, b, distances), equal_var=False).pvalue
    assert found.p == pytest.approx(expected)
    assert found.differ is (found.p < 0.05)


@given(VALUES | POSITIVE, VALUES | POSITIVE, st.booleans())
def test_a_difference_has_welchs_interval(a, b, distances):
    one, other = Sample.of(a), Sample.of(b)
    gap, interval = difference(one, other, distances)
    assert gap == pytest.approx(np.mean(a) - np.mean(b))
    like = scaled(a, b, distances)
    expected = scipy_stats.ttest_ind(*like, equal_var=False).confidence_interval()
    ends = np.array([expected.low, expected.high])
    if like[0] is not a:
        ends = np.mean(b) * np.expm1(np.minimum(ends, 700))
    assert interval == pytest.approx(tuple(ends), rel=1e-6, abs=1e-6)
    found = compare(one, other, distances)
    assert (interval[0] > 0 or interval[1] < 0) is found.differ
    if found.differ:  # the test and the means agree on which is larger
        assert gap * sum(interval) > 0


def test_an_outlier_turns_no_verdict_against_the_means():
    """By their logarithms these would differ, the one with the larger mean being the smaller."""
    most, other = [0.01] * 5 + [1.0], [0.1686, 0.1714] * 3
    assert np.mean(most) > np.mean(other)
    logs = scipy_stats.ttest_ind(np.log(most), np.log(other), equal_var=False)
    assert logs.pvalue < 0.05
    assert logs.statistic < 0
    assert not compare(Sample.of(most), Sample.of(other), True).differ


def test_distances_are_compared_by_their_ratio():
    """A spread that grows with the score hides no difference; no unit changes the verdict."""
    near, far = Sample.of([0.055, 0.056, 0.057]), Sample.of([0.44, 0.51, 0.57])
    plain = scipy_stats.ttest_ind(near.values, far.values, equal_var=False).pvalue
    found = compare(near, far, True)
    assert found.p < 0.001 < plain
    assert compare(near, far).p == pytest.approx(plain)
    thousands = [Sample.of(1e3 * value for value in sample.values) for sample in (near, far)]
    assert compare(*thousands, True).p == pytest.approx(found.p)
    assert compare(*thousands, True).visible == pytest.approx(found.visible)  # a factor
    assert found.visible == pytest.approx(
        math.exp(compare(*(Sample.of(np.log(one.values)) for one in (near, far))).visible)
    )
    around_0 = compare(Sample.of([-0.001, 0.001, 0.003]), far, True)
    assert around_0.p == pytest.approx(
        scipy_stats.ttest_ind(around_0.a.values, far.values, equal_var=False).pvalue
    )


def test_a_difference_of_single_values_has_no_interval():
    assert difference(Sample.of([3]), Sample.of([1, 2])) == (1.5, None)
    assert difference(Sample.of([3, 3]), Sample.of([1, 1])) == (2, (2, 2))


def test_the_number_of_seeds_decides_whether_a_difference_is_one():
    few = compare(Sample.of([1.0, 1.2]), Sample.of([1.3, 1.5]))
    many = compare(Sample.of([1.0, 1.2] * 5), Sample.of([1.3, 1.5] * 5))
    assert not few.differ
    assert many.differ
    assert few.basis == "p = 0.17, Welch's test, 2 and 2 seeds"
    assert many.basis == "p < 0.001, Welch's test, 10 and 10 seeds"


def test_a_single_value_has_no_deviation_and_is_compared_with_nothing():
    one = Sample.of([0.5])
    assert (one.std, one.interval()) == (None, None)
    assert one.show(2) == "0.50"
    low, high = one.interval(error=0.1)
    assert (low, high) == pytest.approx((0.5 - 0.19600, 0.5 + 0.19600), abs=1e-5)
    assert one.show_interval(2, error=0.1) == "0.50 [0.30, 0.70]"
    found = compare(one, Sample.of([1.0, 2.0]))
    assert (found.p, found.differ, found.basis) == (None, False, "a single seed")


def test_values_without_a_bound_have_neither():
    for values in ([math.inf, 1.0], [math.nan, 1.0], [math.inf]):
        assert Sample.of(values).std is None
        assert Sample.of(values).interval() is None
    assert Sample.of([math.inf, math.inf]).show(1) == "inf"


def test_constants_differ_if_they_are_unlike():
    assert compare(Sample.of([1, 1]), Sample.of([2, 2])).differ
    assert not compare(Sample.of([1, 1]), Sample.of([1, 1])).differ


def test_intervals_that_touch_are_not_disjoint():
    assert disjoint((0, 1), (2, 3)) is disjoint((2, 3), (0, 1)) is True
    assert disjoint((0, 2), (1, 3)) is False
    assert disjoint(None, (1, 3)) is None


def test_plus_minus_is_the_deviation_and_brackets_the_interval():
    sample = Sample.of([1.0, 2.0, 3.0])
    assert sample.show(2) == "2.00 ± 1.00"
    low, high = sample.interval()
    assert sample.show_interval(2) == f"2.00 [{low:.2f}, {high:.2f}]"


def test_a_share_counts():
    assert share([True, False, True]) == "2 of 3"


@given(st.lists(st.floats(1e-6, 0.5), min_size=1, max_size=12, unique=True))
def test_claims_are_judged_together_as_holm_does(ps):
    """Against the step-down procedure as written: p_(i) < 0.05 / (m - i + 1) until one fails."""
    claims = Claims()
    pairs = [(Sample.of([i, i + 1.0]), Sample.of([-i - 0.5, i + 2.0])) for i in range(len(ps))]
    with pytest.MonkeyPatch.context() as patch:
        values = dict(zip([a for a, _ in pairs], ps, strict=True))
        patch.setattr("genbench.stats.compare", lambda a, b, _: Comparison(a, b, values[a]))
        for _ in range(2):
            found = [claims.compare(a, b) for a, b in pairs]
            claims.judge()
    m, ordered, rejected = len(ps), sorted(ps), set()
    for i, p in enumerate(ordered):
        if p >= 0.05 / (m - i):
            break
        rejected.add(p)
    assert {one.p for one in found if one.differ} == rejected
    assert len(claims) == m


def test_among_many_a_difference_must_be_clearer():
    claims, a, b = Claims(), Sample.of([1.0, 1.2, 1.1]), Sample.of([1.3, 1.5, 1.4])
    nothing = [Sample.of([5.0, 7.0 + i, 6.0]) for i in range(6)]
    assert claims.compare(a, b).differ
    for other in nothing[1:]:
        claims.compare(nothing[0], other)
    claims.judge()
    found = claims.compare(a, b)
    assert found.p == compare(a, b).p < 0.05
    assert not found.differ
    assert found.leans
    assert found.basis == (
        "p = 0.021, Welch's test, 3 and 3 seeds, not enough for one of 6 comparisons"
    )


def test_equal_means_are_claimed_to_differ_in_one_report_of_twenty_and_visible_ones_seen():
    """By simulation: the error over a report's claims, and the power at what is `visible`."""
    rng, reports, n = np.random.default_rng(0), 0, 400
    for _ in range(n):
        claims = Claims()
        pairs = [[Sample.of(rng.normal(0, 1, 5)) for _ in range(2)] for _ in range(6)]
        for _ in range(2):
            wrong = [claims.compare(a, b).differ for a, b in pairs]
            claims.judge()
        reports += any(wrong)
    assert 0.01 < reports / n < 0.09
    for k, level in ((10, 0.05), (3, 0.005)):  # seeds a side, as if their deviations were known
        pair = [Sample.of(np.linspace(-1, 1, k) + shift) for shift in (0, 9)]
        least = replace(compare(*pair), level=level).visible
        spread, seen = pair[0].std, 0
        for _ in range(n):
            a, b = (rng.normal(mean, spread, k) for mean in (0.0, least))
            seen += scipy_stats.ttest_ind(a, b).pvalue < level
        assert 0.73 < seen / n < 0.87
