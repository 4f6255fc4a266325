"""A small classifier of digits (after LeCun et al. 1998) whose features score pictures of digits.

`python experiments/lenet_digits.py` trains it on mnist-mini and writes lenet_digits.pt, which the
package holds; its SHA-256 and its accuracy on the 2,000 test digits are below.
"""

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import UserError

WEIGHTS = Path(__file__).with_name("lenet_digits.pt")
SHA256 = "616d0fd9f360d6ed8d95506145f251a906cdc994eb4719f4cf6955bac84ed97c"
ACCURACY = 0.9895  # on the test split of mnist-mini
SIDE = 32


class LeNet(nn.Module):
    """Two convolutions, 84 features, 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(32 * 5 * 5, 84),
            nn.BatchNorm1d(84),  # features of the order of 1
            nn.ReLU(),
        )
        self.head = nn.Linear(84, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, C, H, W) `uint8` -> features (B, 84), logits (B, 10).

        Black is put around pictures of 28 px; others than 28 and 32 px are resized to 32.
        """
        x = images.float().mean(1, keepdim=True) / 255
        margin = SIDE - x.shape[-1]
        if margin == 4:
            x = F.pad(x, [margin // 2] * 4)
        elif margin:
            x = F.interpolate(x, SIDE, mode="bilinear", antialias=True, align_corners=False)
        features = self.body(x)
        return features, self.head(features)


def load_lenet(state: dict[str, Tensor] | None = None) -> LeNet:
    """The network with the weights given, else with those of the package.

    Raises:
        UserError: The package's file is not the one that was shipped.
    """
    net = LeNet()
    if state is None:
        content = WEIGHTS.read_bytes()
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise UserError(f"{WEIGHTS}: not the file that was shipped; install genbench again")
        state = torch.load(WEIGHTS, map_location="cpu", weights_only=True)
    net.load_state_dict(state)
    return net.eval()
