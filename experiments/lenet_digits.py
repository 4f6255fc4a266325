"""Train the extractor lenet-digits anew: python experiments/lenet_digits.py."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from genbench.data.digits import read_mini
from genbench.metrics.lenet import WEIGHTS, LeNet

EPOCHS = 30
BATCH = 128
LARGEST_LR = 4e-3
SHIFT = 2  # pixels that training pictures move at most


def train_lenet(
    images: np.ndarray, labels: np.ndarray, seed: int, show: Callable[[int, float], None]
) -> LeNet:
    """Train on pictures (N, 1, 28, 28) `uint8` and labels (N,); `show` gets epoch and mean loss."""
    torch.manual_seed(seed)
    net, rng = LeNet(), torch.Generator().manual_seed(seed)
    steps = EPOCHS * -(-len(images) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=LARGEST_LR, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LARGEST_LR, steps)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    for epoch in range(1, EPOCHS + 1):
        losses = []
        for index in torch.randperm(len(x), generator=rng).split(BATCH):
            down, right = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=rng).tolist()
            moved = torch.roll(x[index], (down, right), (2, 3))  # digits have a black margin
            loss = F.cross_entropy(net(moved)[1], y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        show(epoch, float(np.mean(losses)))
    return net.eval()


@torch.inference_mode()
def accuracy(net: LeNet, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of pictures (N, 1, 28, 28) `uint8` whose class is recognised."""
    guesses = net.eval()(torch.from_numpy(images))[1].argmax(1).numpy()
    return float((guesses == labels).mean())


def main() -> None:
    """Train on mnist-mini, write the package's weights, and print what lenet.py says of them."""
    images, labels = read_mini(Path(), "train")
    net = train_lenet(images, labels, 0, lambda epoch, loss: print(f"{epoch}: {loss:.4f}"))
    torch.save(net.state_dict(), WEIGHTS)
    images, labels = read_mini(Path(), "test")
    print(f"SHA256 = {hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()!r}")
    print(f"ACCURACY = {accuracy(net, images, labels)}")


if __name__ == "__main__":
    main()
