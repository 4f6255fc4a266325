"""What a code says of its picture's class, from codes z (N, D) and labels (N,) as arrays.

By torch, and not by scikit-learn, whose import and logistic regression take as long as five epochs
of digits, and 100 MB: every training ends with these. Tests hold them against scikit-learn's.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

NEIGHBOURS = 5
CHUNK = 100  # held-out codes looked at together


def knn_accuracy(
    z_train: np.ndarray, labels_train: np.ndarray, z: np.ndarray, labels: np.ndarray
) -> float:
    """Share of held-out codes whose 5 nearest training codes vote for the right label."""
    known, classes = np.unique(labels_train, return_inverse=True)
    train, votes = torch.from_numpy(z_train).double(), torch.eye(len(known))[classes]
    right = 0
    for first in range(0, len(z), CHUNK):
        some = torch.from_numpy(z[first : first + CHUNK]).double()
        nearest = torch.cdist(some, train).topk(min(NEIGHBOURS, len(train)), largest=False).indices
        chosen = votes[nearest].sum(1).argmax(1).numpy()
        right += int((known[chosen] == labels[first : first + CHUNK]).sum())
    return right / len(z)


def probe_accuracy(
    z_train: np.ndarray, labels_train: np.ndarray, z: np.ndarray, labels: np.ndarray
) -> float:
    """Accuracy on held-out codes of a logistic regression on standardised training codes.

    It minimises the summed cross-entropy and half the squared weights, as scikit-learn's does.
    """
    known, classes = np.unique(labels_train, return_inverse=True)
    mean, std = z_train.mean(0, dtype=np.float64), z_train.std(0, dtype=np.float64)
    std[std == 0] = 1
    train, held_out = (torch.from_numpy((side - mean) / std) for side in (z_train, z))
    target = torch.from_numpy(classes)
    weight = torch.zeros(z.shape[1], len(known), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(known), dtype=torch.float64, requires_grad=True)
    found = torch.optim.LBFGS(
        [weight, bias], max_iter=500, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        found.zero_grad()
        error = cross_entropy(train @ weight + bias, target, reduction="sum")
        total = (error + 0.5 * weight.square().sum()) / len(train)
        total.backward()
        return total

    with torch.enable_grad():
        found.step(loss)
    chosen = (held_out @ weight + bias).argmax(1).numpy()
    return float((known[chosen] == labels).mean())
