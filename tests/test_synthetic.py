import numpy as np
import pytest

from genbench.data.synthetic import SCHOOLS, paint, school_of

SEED = 11
PAINTED = [  # mean red, green and blue of the first pictures of seed 0, which are trained on
    [183.5, 175.2, 168.5],
    [45.2, 46.4, 39.8],
    [119.7, 107.3, 186.2],
    [79.5, 94.9, 29.1],
    [168.1, 145.0, 125.1],
    [28.0, 55.3, 67.7],
    [86.4, 106.6, 118.8],
    [103.3, 134.8, 157.7],
]


@pytest.fixture(scope="module")
def pictures():
    return paint(500, 32, SEED)


def coarse(pictures, size):
    """Box averages, (n, 3 * size * size)."""
    n, channels, full, _ = pictures.shape
    blocks = pictures.reshape(n, channels, size, full // size, size, full // size)
    return blocks.mean((3, 5)).reshape(n, -1)


def distances(pictures):
    """The mean absolute difference of every two pictures at 16x16, of 255; (n, n)."""
    flat = coarse(pictures, 16)
    return np.stack([np.abs(flat - row).mean(1) for row in flat])


def test_a_seed_fixes_the_pictures_and_a_longer_call_extends_a_shorter_one(pictures):
    told = []
    again = paint(130, 32, SEED, told.append)
    assert again.shape == (130, 3, 32, 32)
    assert again.dtype == np.uint8
    assert again.tobytes() == pictures[:130].tobytes()
    assert sum(told) == 130
    assert paint(0, 32, SEED).shape == (0, 3, 32, 32)


def test_the_painter_paints_what_it_painted():
    """Other paintings under the same name would make reports of unlike data look alike."""
    found = paint(8, 32, 0).reshape(8, 3, -1).mean(2)
    np.testing.assert_allclose(found, PAINTED, atol=0.5)


def test_another_seed_shares_no_picture(pictures):
    others = {picture.tobytes() for picture in paint(500, 32, SEED + 1)}
    own = {picture.tobytes() for picture in pictures}
    assert len(own) == len(others) == 500
    assert not own & others


def test_every_school_paints_an_equal_share():
    chunk = 8 * len(SCHOOLS)
    schools = school_of(10 * chunk, SEED)
    assert np.bincount(schools).tolist() == [80] * len(SCHOOLS)
    assert np.array_equal(school_of(75, SEED), schools[:75])
    assert len(set(schools[:8])) > 1  # mixed, not one after the other


def test_no_two_pictures_are_alike_and_none_is_blank(pictures):
    apart = distances(pictures)
    pairs = apart[np.triu_indices(len(apart), 1)]
    assert pairs.min() > 6
    assert pairs.mean() > 50
    assert (pictures.std((1, 2, 3)) < 8).mean() < 0.01


def test_schools_vary_inside_and_differ_from_each_other(pictures):
    schools = school_of(len(pictures), SEED)
    apart = distances(pictures)
    for a in range(len(SCHOOLS)):
        for b in range(a + 1):
            between = apart[np.ix_(schools == a, schools == b)]
            assert between[between > 0].mean() > 40  # 0: a picture and itself


def test_a_picture_is_the_same_composition_at_every_size(pictures):
    large = coarse(paint(150, 64, SEED), 32)
    differences = np.abs(large - pictures[:150].reshape(150, -1)).mean(1)
    assert differences.mean() < 4
    assert differences.max() < 15
