"""Train the extractor lenet-digits anew: python experiments/lenet_digits.py."""

import hashlib
from pathlib import Path

import torch

from genbench.data.digits import read_mini
from genbench.metrics.lenet import WEIGHTS, accuracy, train_lenet

if __name__ == "__main__":
    net = train_lenet(
        *read_mini(Path(), "train"), seed=0, show=lambda epoch, loss: print(f"{epoch}: {loss:.4f}")
    )
    torch.save(net.state_dict(), WEIGHTS)
    print(f"SHA256 = {hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()!r}")
    print(f"ACCURACY = {accuracy(net, *read_mini(Path(), 'test'))}")
