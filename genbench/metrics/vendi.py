"""How many different pictures there are among samples."""

import numpy as np


def vendi_score(features: np.ndarray) -> float:
    """exp of the entropy of the eigenvalues of K / N, K the cosine similarities of N pictures.

    The effective number of unlike pictures, from 1 (all alike) to N (Friedman & Dieng 2023,
    arXiv:2210.02410, def. 3.1, with the cosine kernel). It sees no real picture: more than
    these have may be noise as well as variety. It grows with N.

    Args:
        features: (N, D); a row of zeros is like no other.
    """
    rows = features.astype(np.float64)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    gram = rows.T @ rows if rows.shape[1] < len(rows) else rows @ rows.T  # the same eigenvalues
    shares = np.linalg.eigvalsh(gram / len(rows))
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))
