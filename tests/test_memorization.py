import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from genbench.metrics.memorization import (
    LEVEL,
    memorization,
    nearest_rows,
    scale,
    visible_share,
)


def normal(n, seed, d=16):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def test_fresh_draws_are_called_copies_no_more_often_than_the_level_says():
    p = [
        memorization([normal(300, 3 * i)], [normal(300, 3 * i + 1)], [normal(600, 3 * i + 2)]).p
        for i in range(40)
    ]
    assert min(p) > LEVEL
    assert 0.25 < np.mean(np.array(p) < 0.5) < 0.85  # a p-value: about uniform, or larger


@pytest.mark.parametrize(("share", "jitter"), [(1.0, 0.0), (0.1, 0.0), (0.1, 0.05)])
def test_planted_copies_are_found_and_named(share, jitter):
    train, held_out, samples = normal(600, 0), normal(300, 1), normal(300, 2)
    copies = int(share * 300)
    samples[:copies] = train[100 : 100 + copies] + jitter * normal(copies, 3)
    found = memorization([samples], [held_out], [train])
    assert found.alarm
    assert found.p < 1e-6
    assert found.copies == pytest.approx(share, abs=0.02)
    np.testing.assert_array_equal(found.nearest[:copies], np.arange(100, 100 + copies))
    assert found.distances[:copies].max() < found.distances[copies:].min(initial=np.inf)
    assert found.expected == pytest.approx(0.01)
    assert found.originals == pytest.approx(copies, abs=6)
    alike = [np.tile(train[:1], (300, 1))]
    assert memorization(alike, [held_out], [train]).originals == 1


def test_samples_far_from_all_pictures_are_no_copies():
    found = memorization([normal(300, 0) + 5], [normal(300, 1)], [normal(600, 2)])
    assert (found.copies, found.p, found.alarm) == (0.0, 1.0, False)


def test_a_copy_is_near_to_one_picture_in_every_space():
    """Near to pictures in one space alone, or to another one in each: no copies."""
    train, held_out, samples = ([normal(300, 3 * i + j) for i in (0, 1)] for j in range(3))
    samples[0][:100] = train[0][:100]
    found = memorization(samples, held_out, train)
    assert not found.alarm
    samples[1][:100] = train[1][100:200]
    found = memorization(samples, held_out, train)
    assert not found.alarm
    samples[1][:100] = 50 * train[1][:100]
    scaled = [space * np.float32([1, 50][i]) for i, space in enumerate(train)]
    held_out[1] *= 50
    samples[1][100:] *= 50
    found = memorization(samples, held_out, scaled)
    assert found.copies >= 1 / 3
    np.testing.assert_array_equal(found.nearest[:100], np.arange(100))


def test_the_unit_of_a_space_is_the_usual_distance_to_the_nearest_other():
    rows = normal(90, 0)
    distances = cdist(rows, rows)
    np.fill_diagonal(distances, np.inf)
    assert scale(rows) == pytest.approx(np.median(distances.min(1)))
    assert scale(3 * rows) == pytest.approx(3 * scale(rows))
    assert scale(rows[:1]) == scale(np.ones((4, 2))) == 1.0


def test_p_is_the_chance_of_so_many_among_the_smallest():
    """Of all orders of 4 samples and 3 held-out pictures, those with as many samples first."""
    import itertools

    train = np.zeros((1, 1), np.float32)
    for near in range(5):
        samples = np.array([[0.5]] * near + [[9.0]] * (4 - near), np.float32)
        held_out = np.array([[1.0], [2.0], [3.0]], np.float32)
        orders = list(itertools.combinations(range(7), 3))  # the places of the held-out pictures
        expected = sum(places[0] >= near for places in orders) / len(orders)
        assert memorization([samples], [held_out], [train]).p == pytest.approx(expected)


def test_nearest_rows_are_those_of_scipy(monkeypatch):
    monkeypatch.setattr("genbench.metrics.memorization.CHUNK", 7)
    a, b = normal(30, 0), normal(40, 1)
    other, others = normal(30, 2, d=3), normal(40, 3, d=3)
    nearest, distances = nearest_rows([a, other], [b, others])
    expected = np.maximum(cdist(a, b) / scale(b), cdist(other, others) / scale(others))
    np.testing.assert_array_equal(nearest, expected.argmin(1))
    np.testing.assert_allclose(distances, expected.min(1), rtol=1e-6)


def seen(copies, n=1000, m=1000, times=300):
    """How often an alarm is raised where so many of n samples are copies, by simulation."""
    rng, train = np.random.default_rng(0), np.zeros((1, 1))
    alarms = 0
    for _ in range(times):
        samples, held_out = rng.uniform(1, 2, (n, 1)), rng.uniform(1, 2, (m, 1))
        samples[:copies] = 0
        found = memorization([samples], [held_out], [train])
        alarms += found.alarm
    return alarms / times, found.visible


def test_the_share_of_copies_that_is_called_visible_is_seen_in_80_percent_of_cases():
    power, visible = seen(23)
    assert visible == visible_share(1000, 1000, 10) == 0.023
    assert power == pytest.approx(0.8, abs=0.06)
    assert seen(10)[0] < 0.1
    assert seen(50)[0] == 1.0


def test_fewer_samples_see_larger_shares_alone_and_too_few_see_none():
    shares = [visible_share(n, n, n // 100) for n in (100, 1000, 9000)]
    assert shares[0] > shares[1] > shares[2]
    assert np.isnan(visible_share(1, 50, 1))
    assert visible_share(3, 50, 1) == 1.0


def test_scipys_tests_are_imported_where_they_are_used():
    code = "import sys, genbench.metrics.memorization; assert 'scipy.stats' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
