"""Speed against bare loops: `make bench` prints seconds and ratios, medians of several pairs.

Training: genbench and a hand-written loop with the same model, data, batches and optimiser. Both
see the same images in the same order and both evaluate the validation split every epoch; what
genbench adds is Ignite, the run record and, in the second comparison, W&B's offline log.

Scoring: features of 2,000 pictures of 64 px, and the extractor's forward passes alone; then what
each score takes.

Precision: steps of each family in bfloat16 and in float32, in turns, by the process's CPU time.

Searching: 16 trials of the VAE's sweep without pruning, with it, and by two workers.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from genbench.config import SearchConfig
from genbench.data import Batches, load_data
from genbench.data.synthetic import paint
from genbench.evaluate.measures import measure
from genbench.families import family_of
from genbench.families.ae.nets import make_decoder, make_encoder
from genbench.families.flow import FlowConfig
from genbench.families.gan import GANConfig
from genbench.families.vae import VAEConfig
from genbench.metrics import METRICS
from genbench.metrics.cache import Cache
from genbench.metrics.extractors import BATCH, load_extractor
from genbench.metrics.memorization import memorization
from genbench.search.search import Search
from genbench.sweep import read_sweep
from genbench.train import train

PICTURES = 2_000  # scored
TRIALS = 16  # of a search
WARM, STEPS = 40, 8  # steps before and in a measurement: a GAN's memory is full by then
SWEEP = Path(__file__).parents[1] / "sweeps" / "vae.yaml"


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
    ours_s, theirs = zip(*times, strict=True)
    features, bare = statistics.median(ours_s), statistics.median(theirs)
    lines = [
        f"\nSeconds for {PICTURES} pictures of 64 px by {extractor.name}, medians of {pairs}:",
        f"features {features:6.2f} s   bare forward passes {bare:6.2f} s   "
        f"ratio {ratio(ours_s, theirs):.3f}",
    ]
    sides = extractor(images[:PICTURES]), extractor(images[PICTURES:])
    fakes, reals = sides[0].features, sides[1].features
    for name in (*METRICS, "memorization"):
        start = time.perf_counter()
        if name == "memorization":
            memorization(fakes, reals[: PICTURES // 2], reals)
        else:
            measure(*sides, (name,), Cache(None))
        seconds = time.perf_counter() - start
        share = seconds / (seconds + features)
        lines.append(f"{name:12} {seconds:6.2f} s, {share:4.0%} of features and this score")
    return lines


def search(seed: int, **change: Any) -> tuple[float, float, int]:
    """A search of TRIALS trials of sweeps/vae.yaml: its seconds, best val/elbo, epochs trained."""
    sweep = read_sweep(SWEEP)
    workers = change.pop("workers", 1)
    with tempfile.TemporaryDirectory() as runs_dir:
        options = SearchConfig(
            trials=TRIALS,
            timeout=1e9,
            seed=seed,
            workers=workers,
            wandb="disabled",
            runs_dir=runs_dir,
            device="cpu",
        )
        study = Search(dataclasses.replace(sweep, **change), options)
        start = time.perf_counter()
        study.run()
        seconds = time.perf_counter() - start
        epochs = sum(len(trial.intermediate_values) for trial in study.study.trials)
        return seconds, study.best().values[0], epochs


def searching(seeds: int) -> list[str]:
    """One worker against two, and with pruning against without, over seeds of the search."""
    searches: dict[str, list[tuple[float, float, int]]] = {}
    for seed in range(seeds):
        for name, change in {
            "no pruning": {"stopping": None},
            "pruning": {},
            "pruning, 2 workers": {"workers": 2},
        }.items():
            searches.setdefault(name, []).append(search(seed, **change))
    lines = [f"\nSearches of {TRIALS} trials of sweeps/vae.yaml, over {seeds} seeds of the search:"]
    for name, found in searches.items():
        seconds, best, epochs = zip(*found, strict=True)
        spread = f" ± {statistics.stdev(best):.2f}" if seeds > 1 else ""
        lines.append(
            f"{name:20} {statistics.median(seconds):6.1f} s   best val/elbo "
            f"{statistics.mean(best):.2f}{spread}   {statistics.mean(epochs):.0f} epochs"
        )
    one, two = ([s[0] for s in searches[name]] for name in ("pruning", "pruning, 2 workers"))
    lines.append(f"two workers / one: {ratio(two, one):.3f} of the seconds")
    with_, without = ([float(s[2]) for s in searches[name]] for name in ("pruning", "no pruning"))
    lines.append(f"with pruning / without: {ratio(with_, without):.3f} of the epochs")
    return lines


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """The median of the pairs' ratios."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def training(repeats: int, epochs: int) -> list[str]:
    """Our training against the bare loop, without W&B and with its offline record."""
    rows = [f"\nSeconds an epoch of the VAE on mnist-mini, medians of {repeats} pairs:"]
    for mode in ("disabled", "offline"):
        pairs = []
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as runs_dir:
                config = VAEConfig(
                    epochs=epochs, wandb=mode, runs_dir=runs_dir, save=False, device="cpu"
                )
                pairs.append((ours(config), bare_loop(config)))
        mine, bare = zip(*pairs, strict=True)
        ours_s, bare_s = (statistics.median(side) / epochs for side in (mine, bare))
        rows.append(
            f"W&B {mode:9} {ours_s:6.2f} s   bare loop {bare_s:6.2f} s   "
            f"ratio {ratio(mine, bare):.3f}"
        )
    return rows


def precision(pairs: int) -> list[str]:
    """Milliseconds of CPU time a step of each family, by precision, and their ratio."""
    lines = [f"\nMilliseconds of CPU time a step, medians of {pairs} pairs:"]
    vae = VAEConfig(batch_size=128, width=400, latent_dim=20, lr=1e-3)
    for config, shape in (
        (vae, (1, 28, 28)),
        (FlowConfig(), (3, 64, 64)),
        (GANConfig(), (3, 64, 64)),
    ):
        x = torch.rand(config.batch_size, *shape)
        times: dict[str, list[float]] = {"bf16": [], "fp32": []}
        models = {}
        for name in times:
            family, chosen = family_of(config), dataclasses.replace(config, precision=name)
            models[name] = family.steps, family.build(chosen, shape, 100, "cpu", 0)
            models[name][1].modules.train()
            for _ in range(WARM):
                models[name][0].train_step(models[name][1], x)
        for _ in range(pairs):
            for name, (steps, state) in models.items():
                start = time.process_time()
                for _ in range(STEPS):
                    steps.train_step(state, x)
                times[name].append((time.process_time() - start) / STEPS * 1000)
        bf16, fp32 = (statistics.median(times[name]) for name in times)
        lines.append(
            f"{config.model:5} bf16 {bf16:7.1f}   fp32 {fp32:7.1f}   "
            f"ratio {ratio(times['bf16'], times['fp32']):.3f}"
        )
    return lines


def main() -> None:
    """Print the medians and ratios of several pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", default=["training", "scoring", "precision", "searching"]
    )
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3, help="of the searches")
    options = parser.parse_args()
    parts = {
        "training": lambda: training(options.pairs, options.epochs),
        "scoring": lambda: scoring(options.pairs),
        "precision": lambda: precision(options.pairs),
        "searching": lambda: searching(options.seeds),
    }
    for part in options.parts:
        print(*parts[part](), sep="\n", flush=True)


if __name__ == "__main__":
    main()
