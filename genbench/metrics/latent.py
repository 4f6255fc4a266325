"""What a code knows, from codes z (N, D) as arrays.

scikit-learn is imported where it is used: it takes as long to import as an epoch to train.
"""

import numpy as np

ACTIVE_VARIANCE = 0.01  # Burda et al. 2016 (arXiv:1509.00519), section 5.2
NEIGHBOURS = 5


def active_units(z: np.ndarray) -> int:
    """Latent dimensions whose mean code varies over the data: Var_x E[z|x] > 0.01.

    Args:
        z: (N, D), the mean codes of N images.
    """
    return int((z.var(axis=0) > ACTIVE_VARIANCE).sum())


def knn_accuracy(
    z_train: np.ndarray, labels_train: np.ndarray, z: np.ndarray, labels: np.ndarray
) -> float:
    """Share of held-out codes whose 5 nearest training codes vote for the right label."""
    from sklearn.neighbors import KNeighborsClassifier

    vote = KNeighborsClassifier(NEIGHBOURS).fit(z_train, labels_train)
    return float(vote.score(z, labels))


def probe_accuracy(
    z_train: np.ndarray, labels_train: np.ndarray, z: np.ndarray, labels: np.ndarray
) -> float:
    """Accuracy on held-out codes of a logistic regression on standardised training codes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(probe.fit(z_train, labels_train).score(z, labels))


def principal_axes(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and the principal axes (D, D), rows by falling variance, signs fixed."""
    mean = z.mean(axis=0)
    axes = np.linalg.svd(z - mean, full_matrices=True)[2]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    return mean, axes * signs[:, None]
