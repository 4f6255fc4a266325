import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from genbench.stats import Sample, compare, difference, disjoint, share

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


@given(VALUES, VALUES)
def test_a_comparison_is_welchs_test(a, b):
    found = compare(Sample.of(a), Sample.of(b))
    assert found.p == pytest.approx(scipy_stats.ttest_ind(a, b, equal_var=False).pvalue)
    assert found.differ is (found.p < 0.05)


@given(VALUES, VALUES)
def test_a_difference_has_welchs_interval(a, b):
    gap, interval = difference(Sample.of(a), Sample.of(b))
    assert gap == pytest.approx(np.mean(a) - np.mean(b))
    expected = scipy_stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert interval == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-6)


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
