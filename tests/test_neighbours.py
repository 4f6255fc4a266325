import numpy as np
import pytest
from scipy.spatial.distance import cdist

from genbench.evaluate.measures import errors, measure
from genbench.metrics import METRICS, Features, neighbours
from genbench.metrics.cache import Cache
from genbench.metrics.neighbours import neighbour_scores
from genbench.metrics.table import chosen
from genbench.metrics.vendi import vendi_score


def normal(n, d=8, seed=0, mean=0.0):
    return (mean + np.random.default_rng(seed).normal(size=(n, d))).astype(np.float32)


def precision_recall(samples, reals):
    scores = neighbour_scores(samples, reals)
    return scores["precision"], scores["recall"]


# --- the neighbours' scores -----------------------------------------------------------------------


def test_half_of_each_side_where_the_other_is_twice_as_wide():
    """Reals on two islands, samples on one of them and far away: half precise, half of recall."""
    rng = np.random.default_rng(0)
    islands = np.repeat([[0.0, 0.0], [50.0, 0.0]], 100, axis=0)
    reals = (islands + rng.normal(size=(200, 2))).astype(np.float32)
    fakes = reals.copy()
    fakes[100:] += [0, 500]
    assert precision_recall(fakes, reals) == (0.5, 0.5)


def test_precision_and_recall_are_the_right_way_round():
    reals = np.stack([np.arange(100.0), np.zeros(100)], 1).astype(np.float32)
    few = reals[40:50]  # all of them real, but of a tenth of what there is
    precision, recall = precision_recall(few, reals)
    assert precision == 1.0
    # the ball of a sample reaches its third neighbour: those at the ends reach 3 beyond, ...
    assert recall == pytest.approx(16 / 100)
    assert precision_recall(reals, few) == (recall, precision)


def by_loops(samples, reals):
    """The five scores as their papers write them, a picture at a time."""
    own = {side: np.sort(cdist(x, x), 1) for side, x in (("fake", samples), ("real", reals))}
    between = cdist(samples, reals)
    n, m = between.shape
    k3 = {side: x[:, 3] for side, x in own.items()}
    k5, k1 = own["real"][:, 5], own["real"][:, 1]
    return {
        "precision": sum(any(between[i, j] <= k3["real"][j] for j in range(m)) for i in range(n))
        / n,
        "recall": sum(any(between[:, j] <= k3["fake"]) for j in range(m)) / m,
        "density": sum(between[i, j] <= k5[j] for i in range(n) for j in range(m)) / (5 * n),
        "coverage": sum(any(between[:, j] <= k5[j]) for j in range(m)) / m,
        "authpct": 100 * sum(between[i].min() > k1[between[i].argmin()] for i in range(n)) / n,
    }


@pytest.mark.parametrize(("n", "m", "mean"), [(60, 60, 0.0), (70, 40, 0.3), (40, 70, 1.0)])
def test_the_scores_are_those_of_loops_whatever_is_held_together(monkeypatch, n, m, mean):
    monkeypatch.setattr(neighbours, "_known", type(neighbours._known)())
    samples, reals = normal(n, mean=mean), normal(m, seed=1)
    expected = by_loops(samples, reals)
    assert neighbour_scores(samples, reals) == pytest.approx(expected)
    monkeypatch.setattr(neighbours, "ROWS", 7)
    assert neighbours._scores(samples, reals) == pytest.approx(expected)
    assert len(set(expected.values())) > 3


def test_density_and_coverage_of_one_distribution_are_their_closed_forms():
    """Naeem et al. 2020: 1, and 1 - (M - 1) ... (M - k) / ((2M - 1) ... (2M - k))."""
    n, rng = 100, np.random.default_rng(5)
    found = [neighbour_scores(*rng.normal(size=(2, n, 4)).astype(np.float32)) for _ in range(300)]
    steps = np.arange(1, 6)
    expected = 1 - np.prod((n - steps) / (2 * n - steps))
    assert np.mean([one["coverage"] for one in found]) == pytest.approx(expected, abs=0.003)
    assert np.mean([one["density"] for one in found]) == pytest.approx(1, abs=0.01)


def test_a_sample_far_away_lets_recall_rise_and_not_coverage():
    """The example of Naeem et al. 2020: a sample far away makes a ball of everything."""
    reals = normal(100, seed=1) + 20
    fakes = np.concatenate([normal(96), normal(4) * 1000])
    scores = neighbour_scores(fakes, reals)
    assert scores["recall"] == 1.0
    assert scores["coverage"] == 0.0


def test_copies_are_not_authentic_and_others_are():
    train = normal(200)
    samples = np.concatenate([train[:50], normal(50, seed=1) + 100])
    assert neighbour_scores(train[:50], train)["authpct"] == 0
    assert neighbour_scores(samples, train)["authpct"] == 50


def test_distances_are_computed_once_for_all_their_scores(monkeypatch):
    computed = []
    original = neighbours._scores
    monkeypatch.setattr(neighbours, "_known", type(neighbours._known)())
    monkeypatch.setattr(neighbours, "_scores", lambda *a: computed.append(1) or original(*a))
    sides = [Features(normal(60, seed=seed), np.zeros((60, 0))) for seed in (0, 1)]
    names = ("precision", "recall", "density", "coverage", "authpct")
    found = measure(*sides, names, Cache(None))
    assert found == neighbour_scores(*(side.features for side in sides))
    assert len(computed) == 1
    assert set(errors(*sides, names, Cache(None))) == set(names[:4])  # not of those on request
    assert len(computed) == 1 + 20  # the halves


# --- Vendi ----------------------------------------------------------------------------------------


def test_vendi_counts_unlike_pictures():
    assert vendi_score(np.eye(7)[np.arange(70) % 7]) == pytest.approx(7)
    assert vendi_score(np.ones((50, 3))) == pytest.approx(1)
    assert vendi_score(np.eye(20)) == pytest.approx(20)
    kinds = np.repeat(np.arange(2), [75, 25])  # of two kinds, exp of the entropy of their shares
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert vendi_score(5 * np.eye(2)[kinds]) == pytest.approx(np.exp(entropy))


@pytest.mark.parametrize(("n", "d"), [(40, 8), (8, 40)])
def test_vendi_is_the_entropy_of_the_whole_kernels_eigenvalues(n, d):
    x = normal(n, d, mean=0.5)
    kernel = 1 - cdist(x, x, "cosine")
    values = np.linalg.eigvalsh(kernel / n)
    values = values[values > 1e-9]
    expected = np.exp(-(values * np.log(values)).sum())
    assert vendi_score(x) == pytest.approx(expected, rel=1e-5)


# --- in the table of scores -----------------------------------------------------------------------


def test_scores_of_too_few_pictures_are_left_out_and_said(capsys):
    few = [Features(normal(49, seed=seed), np.zeros((49, 0))) for seed in (0, 1)]
    names = chosen("prc,dc,vendi,authpct")
    assert names == ("precision", "recall", "density", "coverage", "vendi", "authpct")
    assert set(measure(*few, names, Cache(None))) == {"precision", "recall"}
    assert "no density of 49 pictures a side, 50 needed" in capsys.readouterr().err
    enough = [Features(normal(50, seed=seed), np.zeros((50, 0))) for seed in (0, 1)]
    assert set(measure(*enough, names, Cache(None))) == set(names)


def test_what_takes_long_or_means_little_alone_is_computed_on_request():
    names = chosen("")
    assert {"density", "coverage", "precision"} <= set(names)
    assert not {"vendi", "authpct", "fd_infinity"} & set(names)


@pytest.mark.parametrize(
    ("name", "heading", "within"),
    [
        ("density", "Density ↑", (0, np.inf)),
        ("coverage", "Coverage ↑", (0, 1)),
        ("vendi", "Vendi score (unlike pictures) ↑", (1, np.inf)),
        ("authpct", "Authentic samples (AuthPct) (%) ↑", (0, 100)),
    ],
)
def test_a_score_says_its_unit_its_direction_and_its_bounds(name, heading, within):
    metric = METRICS[name]
    assert (metric.heading, metric.within, metric.least) == (heading, within, 50)
