"""Speed against bare loops: `make bench` prints seconds and ratios, medians of several pairs.

Training: genbench and a hand-written loop with the same model, data, batches and optimiser. Both
see the same images in the same order and both evaluate the validation split every epoch; what
genbench adds is Ignite, the run record and, in the second comparison, W&B's offline log.

Scoring: features of 2,000 pictures of 64 px, and the extractor's forward passes alone; then what
each score takes.
"""

import argparse
import statistics
import tempfile
import time

import torch
import torch.nn.functional as F

from genbench.config import SCORES, VAEConfig
from genbench.data import Batches, load_data
from genbench.data.synthetic import paint
from genbench.evaluate.measures import measure
from genbench.metrics.cache import Cache
from genbench.metrics.extractors import BATCH, load_extractor
from genbench.models.nets import make_decoder, make_encoder
from genbench.train import train

PICTURES = 2_000  # scored


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


@torch.inference_mode()
def bare_extraction(images: torch.Tensor) -> float:
    """Seconds of the extractor's forward passes, nothing kept."""
    network = load_extractor().network
    start = time.perf_counter()
    for batch in images.split(BATCH):
        network(batch)
    return time.perf_counter() - start


def scoring(pairs: int) -> list[str]:
    """Features against bare forward passes, and the seconds of each score of them."""
    images = torch.from_numpy(paint(2 * PICTURES, 64, seed=0))
    extractor = load_extractor()
    times = []
    for _ in range(pairs):
        start = time.perf_counter()
        extractor(images[:PICTURES])
        times.append((time.perf_counter() - start, bare_extraction(images[:PICTURES])))
    ratio = statistics.median(a / b for a, b in times)
    features, bare = (statistics.median(side) for side in zip(*times, strict=True))
    lines = [
        f"\nSeconds for {PICTURES} pictures of 64 px by {extractor.name}, medians of {pairs}:",
        f"features {features:6.2f} s   bare forward passes {bare:6.2f} s   ratio {ratio:.3f}",
    ]
    sides = extractor(images[:PICTURES]), extractor(images[PICTURES:])
    for name in SCORES[:-1]:
        start = time.perf_counter()
        measure(*sides, (name,), Cache(None))
        seconds = time.perf_counter() - start
        share = seconds / (seconds + features)
        lines.append(f"{name:12} {seconds:6.2f} s, {share:4.0%} of features and this score")
    return lines


def main() -> None:
    """Print the medians and ratios of several pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    rows = scoring(options.pairs)
    print("\n".join(rows), flush=True)
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
