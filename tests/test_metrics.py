import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genbench.metrics import latent, probes


def clusters(n=300, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    centres = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    return centres[labels] + rng.normal(0, 1, (n, 2)), labels


def test_active_units_are_the_dimensions_that_vary():
    rng = np.random.default_rng(0)
    z = rng.normal(0, 1, (5_000, 4)) * np.sqrt([1.0, 0.02, 0.005, 0.0])
    assert latent.active_units(z) == 2


@pytest.mark.parametrize("accuracy", [probes.knn_accuracy, probes.probe_accuracy])
def test_separable_classes_are_told_apart_and_shuffled_ones_are_not(accuracy):
    train, held_out = clusters(), clusters(seed=1)
    assert accuracy(*train, *held_out) > 0.98
    rng = np.random.default_rng(2)
    assert accuracy(train[0], rng.permutation(train[1]), *held_out) < 0.5


@pytest.mark.parametrize(("dimensions", "scale"), [(2, 0.01), (12, 1.0), (40, 30.0)])
def test_both_accuracies_are_scikit_learns(dimensions, scale):
    rng = np.random.default_rng(dimensions)
    centres = rng.normal(0, 2 / np.sqrt(dimensions), (7, dimensions))
    labels = rng.integers(0, 7, 1_500) * 3  # labels need not be 0, 1, 2, ...
    z = scale * (centres[labels // 3] + rng.normal(size=(1_500, dimensions))).astype(np.float32)
    halves = z[:900], labels[:900], z[900:], labels[900:]
    vote = KNeighborsClassifier(probes.NEIGHBOURS).fit(*halves[:2])
    probe = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=2_000))
    assert 0.2 < probes.knn_accuracy(*halves) == vote.score(*halves[2:]) < 0.95
    assert 0.2 < probes.probe_accuracy(*halves) == probe.fit(*halves[:2]).score(*halves[2:]) < 0.95


def test_a_linear_probe_needs_lines_and_neighbours_do_not():
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, (800, 2))
    labels = (z[:, 0] * z[:, 1] > 0).astype(int)  # XOR of the signs
    halves = z[:400], labels[:400], z[400:], labels[400:]
    assert probes.knn_accuracy(*halves) > 0.9
    assert probes.probe_accuracy(*halves) < 0.65


def test_principal_axes_are_those_of_the_covariance():
    rng = np.random.default_rng(0)
    z = rng.normal(0, [3.0, 1.0, 0.1], (4_000, 3)) @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + 5
    mean, axes = latent.principal_axes(z)
    np.testing.assert_allclose(mean, z.mean(0))
    variances, vectors = np.linalg.eigh(np.cov(z.T))
    np.testing.assert_allclose(np.abs(axes @ vectors[:, ::-1]), np.eye(3), atol=1e-6)
    assert variances[::-1] == pytest.approx(((z - mean) @ axes.T).var(0, ddof=1))
