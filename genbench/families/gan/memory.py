"""The discriminator that is computed, not trained: what was seen of recent reals and samples.

In the features of a fixed network (features.py) two kernel density estimates give its logits, and
the drifting field gives the generator its way (Deng et al. 2026, arXiv:2602.04770; with a moment
matching generator and MMD GAN, Li et al. 2015 and 2017, it has the fixed kernel in common).
Features of reals never age, those of samples do within some steps: more are kept of the first.
"""

import torch
from torch import Tensor, nn

from genbench.families.gan.drifting import Labels, density_logits, drifting_loss
from genbench.families.gan.features import load_eyes

REALS, FAKES = 512, 128  # remembered of each, at least
REALS_OF_A_CLASS, FAKES_OF_A_CLASS = 128, 16  # on average, at least
MOST_REALS, MOST_FAKES = 8_192, 2_048  # however many classes there are
TEMPERATURES = (0.05, 0.2)  # of the fields, in units of the reals' mean distance
JUDGING = 0.2  # temperature of the density estimates
FLAT = 0.01  # of the mean deviation, the least that a number is divided by
LOOKED_AT = 32  # pictures at once without a gradient


class Memory(nn.Module):
    """Features (n, D) of the last reals and samples; D numbers of several vectors, side by side."""

    reals: Tensor
    fakes: Tensor
    labels_of_reals: Tensor
    labels_of_fakes: Tensor
    counts: Tensor

    def __init__(self, device: str, classes: int = 0):
        super().__init__()
        n = max(REALS, min(REALS_OF_A_CLASS * classes, MOST_REALS))
        m = max(FAKES, min(FAKES_OF_A_CLASS * classes, MOST_FAKES))
        vectors = load_eyes(device, False)(torch.zeros(1, 3, 16, 16, device=device))
        self.sizes = [vector.shape[1] for vector in vectors]
        self.register_buffer("reals", torch.zeros(n, sum(self.sizes)))
        self.register_buffer("fakes", torch.zeros(m, sum(self.sizes)))
        if classes:
            self.register_buffer("labels_of_reals", torch.zeros(n, dtype=torch.int64))
            self.register_buffer("labels_of_fakes", torch.zeros(m, dtype=torch.int64))
        self.register_buffer("counts", torch.zeros(2, dtype=torch.int64))  # ever seen, of each
        self._known: tuple[int, tuple[Tensor, Tensor, list[Tensor]]] | None = None
        self.register_load_state_dict_post_hook(Memory._forget)

    def _forget(self, _: object) -> None:
        """What was known of other reals than those that were now loaded."""
        self._known = None

    @property
    def seen(self) -> tuple[Tensor, Tensor]:
        """What is remembered: reals (N, D) and samples (M, D)."""
        n, m = self.counts.tolist()
        return self.reals[:n], self.fakes[:m]

    @property
    def is_full(self) -> bool:
        """Whether it has as many reals as it can keep."""
        return int(self.counts[0]) >= len(self.reals)

    def remember(self, features: Tensor, fake: bool, y: Tensor | None = None) -> None:
        """Keep features (B, D), and labels (B,) where there are any, in place of the oldest."""
        kept = self.fakes if fake else self.reals
        features = features[-len(kept) :].detach()
        places = torch.arange(len(features), device=kept.device) + self.counts[int(fake)]
        kept[places % len(kept)] = features
        if y is not None:
            labels = self.labels_of_fakes if fake else self.labels_of_reals
            labels[places % len(kept)] = y[-len(kept) :]
        self.counts[int(fake)] += len(features)

    def labels(self, y: Tensor | None) -> Labels | None:
        """The labels y (B,), and those of what is remembered."""
        if y is None:
            return None
        n, m = self.counts.tolist()
        return y, self.labels_of_reals[:n], self.labels_of_fakes[:m]

    def vectors(self, features: Tensor) -> list[Tensor]:
        """The kinds of vectors (B, n) of features (B, D), in units of the reals' distances.

        Each number is standardised by the reals, and two of them are then at a mean squared
        distance of 1.
        """
        mean, unit = self._scale()[:2]
        return list(((features - mean) / unit).split(self.sizes, 1))

    def _scale(self) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Mean and unit of each number over the reals, and the reals' vectors, until more come."""
        count = int(self.counts[0])
        if not self._known or self._known[0] != count:
            reals, _ = self.seen
            deviation, mean = torch.std_mean(reals, 0, correction=0)
            deviation = deviation.clamp(min=FLAT * float(deviation.mean()) + 1e-6)
            lengths = torch.tensor(self.sizes, device=reals.device)
            unit = deviation * (2 * lengths).sqrt().repeat_interleave(lengths)
            self._known = count, (mean, unit, list(((reals - mean) / unit).split(self.sizes, 1)))
        return self._known[1]

    def loss(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        """What the generator minimises by its samples' features (B, D), which hold its graph."""
        others, labels = self.vectors(self.seen[1]), self.labels(y)
        kinds = zip(self.vectors(features), self._scale()[2], others, strict=True)
        return torch.stack([drifting_loss(*kind, TEMPERATURES, labels) for kind in kinds]).mean()

    def judge(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (B,) of pictures by their features (B, D), the mean over the kinds of vectors.

        A picture that is remembered itself does not count. While nothing is, all logits are 0.
        """
        fakes, labels = self.seen[1], self.labels(y)
        if not self.counts.all():
            return features.new_zeros(len(features))
        kinds = zip(self.vectors(features), self._scale()[2], self.vectors(fakes), strict=True)
        return torch.stack([density_logits(*kind, JUDGING, labels) for kind in kinds]).mean(0)


def look(images: Tensor, bf16: bool = False) -> Tensor:
    """Features (B, D) of images (B, C, H, W) in [-1, 1], computed in bfloat16 or float32."""
    eyes = load_eyes(str(images.device), bf16)
    if torch.is_grad_enabled() and images.requires_grad:
        return torch.cat(eyes(images), 1)
    return torch.cat([torch.cat(eyes(part), 1) for part in images.split(LOOKED_AT)])
