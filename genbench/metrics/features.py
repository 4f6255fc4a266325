"""What an extractor sees in pictures."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Features:
    """Of N pictures: features (N, D) and class logits (N, K), `float32`.

    Networks without classes have K = 0.
    """

    features: np.ndarray
    logits: np.ndarray

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: np.ndarray | slice) -> "Features":
        """Those of the pictures at `index`."""
        return Features(self.features[index], self.logits[index])
