"""Training speed: genbench against a bare loop with the same model, data, batches and optimiser.

    make bench        prints seconds an epoch of both, and their ratio, medians of several pairs

Both see the same images in the same order and both evaluate the validation split every epoch; what
genbench adds is Ignite, the run record and, in the second comparison, W&B's offline log.
"""

import argparse
import statistics
import tempfile
import time

import torch
import torch.nn.functional as F

from genbench.config import VAEConfig
from genbench.data import Batches, load_data
from genbench.models.nets import make_decoder, make_encoder
from genbench.train import train


def bare_loop(config: VAEConfig) -> float:
    """Seconds that a hand-written VAE takes for the same epochs."""
    data = load_data(config)
    torch.manual_seed(config.seed)
    net = (config.width, config.depth, config.activation)
    encoder = make_encoder(config.arch, data.shape, 2 * config.latent_dim, *net)
    decoder = make_decoder(config.arch, data.shape, config.latent_dim, *net)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=config.lr, fused=True)
    batches = Batches(data.splits["train"], config.batch_size, config.seed)

    def loss(x: torch.Tensor) -> torch.Tensor:
        mu, logvar = encoder(x).chunk(2, 1)
        logits = decoder(mu + torch.randn_like(mu) * (0.5 * logvar).exp())
        bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return (bce + 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()) / len(x)

    start = time.perf_counter()
    for _ in range(config.epochs):
        for x, _ in batches:
            optimizer.zero_grad()
            loss(x).backward()
            optimizer.step()
        with torch.inference_mode():
            held_out = [loss(x).item() for x, _ in Batches(data.splits["val"], 500)]
        print(f"bare loop: {statistics.mean(held_out):.2f}", flush=True)
    return time.perf_counter() - start


def ours(config: VAEConfig) -> float:
    """Seconds of a whole `train` call: reading the data, training, recording, final scores."""
    start = time.perf_counter()
    train(config)
    return time.perf_counter() - start


def main() -> None:
    """Print the medians and ratios of several pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for mode in ("disabled", "offline"):
        pairs = []
        for _ in range(options.pairs):
            with tempfile.TemporaryDirectory() as runs_dir:
                config = VAEConfig(
                    epochs=options.epochs, wandb=mode, runs_dir=runs_dir, save=False, device="cpu"
                )
                pairs.append((ours(config), bare_loop(config)))
        ratio = statistics.median(a / b for a, b in pairs)
        ours_s, bare_s = (
            statistics.median(side) / options.epochs for side in zip(*pairs, strict=True)
        )
        rows.append(f"W&B {mode:9} {ours_s:6.2f} s   bare loop {bare_s:6.2f} s   ratio {ratio:.3f}")
    print(f"\nSeconds an epoch of the VAE on mnist-mini, medians of {options.pairs} pairs:")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
