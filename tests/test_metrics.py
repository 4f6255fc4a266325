import numpy as np
import pytest

from genbench.metrics import latent


def clusters(n=300, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    centres = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    return centres[labels] + rng.normal(0, 1, (n, 2)), labels


def test_active_units_are_the_dimensions_that_vary():
    rng = np.random.default_rng(0)
    z = rng.normal(0, 1, (5_000, 4)) * np.sqrt([1.0, 0.02, 0.005, 0.0])
    assert latent.active_units(z) == 2


@pytest.mark.parametrize("accuracy", [latent.knn_accuracy, latent.probe_accuracy])
def test_separable_classes_are_told_apart_and_shuffled_ones_are_not(accuracy):
    train, held_out = clusters(), clusters(seed=1)
    assert accuracy(*train, *held_out) > 0.98
    rng = np.random.default_rng(2)
    assert accuracy(train[0], rng.permutation(train[1]), *held_out) < 0.5


def test_a_linear_probe_needs_lines_and_neighbours_do_not():
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, (800, 2))
    labels = (z[:, 0] * z[:, 1] > 0).astype(int)  # XOR of the signs
    halves = z[:400], labels[:400], z[400:], labels[400:]
    assert latent.knn_accuracy(*halves) > 0.9
    assert latent.probe_accuracy(*halves) < 0.65


def test_principal_axes_are_those_of_the_covariance():
    rng = np.random.default_rng(0)
    z = rng.normal(0, [3.0, 1.0, 0.1], (4_000, 3)) @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + 5
    mean, axes = latent.principal_axes(z)
    np.testing.assert_allclose(mean, z.mean(0))
    variances, vectors = np.linalg.eigh(np.cov(z.T))
    np.testing.assert_allclose(np.abs(axes @ vectors[:, ::-1]), np.eye(3), atol=1e-6)
    assert variances[::-1] == pytest.approx(((z - mean) @ axes.T).var(0, ddof=1))
