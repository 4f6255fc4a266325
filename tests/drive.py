"""A run without a training: logs rows, pictures and codes as a training does, and needs no torch.

    python drive.py --steps=40 --pause=0.05 --seconds=2

`seconds` shortens the feeder's waits for a server, `bound` ours for the feeder. The run's folder is
printed when it begins, and at the end which of `wandb` and `torch` were imported.
"""

import argparse
import sys
import time

import numpy as np

from genbench.cli import guard
from genbench.record import Run, feeding


def picture(step: int) -> np.ndarray:
    """Another picture at every step."""
    return np.random.default_rng(step).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def main() -> None:
    """Log `steps` rows, a picture and a validation every ten, and codes at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--bound", type=float, default=feeding.BOUND)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--wandb", default="auto")
    given = parser.parse_args()
    feeding.BOUND = given.bound
    if given.seconds:
        shorter = f"f.INIT_SECONDS = f.FINISH_SECONDS = {given.seconds}; "
        shorter += f"f.LIMIT = {3 * given.seconds}; f.main()"
        imports = feeding.MAIN.partition("from")[0]
        feeding.MAIN = f"{imports}import genbench.record.feeder as f; {shorter}"
    with Run("runs", "toy", given.wandb) as run:
        facts = {"model": "vae", "objective": "val/elbo", "direction": "maximize"}
        run.begin({"lr": given.lr, "seed": 0}, **facts)
        print(run.dir, flush=True)
        for step in range(1, given.steps + 1):
            run.log("train", {"loss": 1 / step, "kl": float(step)}, step, step / 10)
            if step % 10 == 0:
                run.picture("samples", picture(step), step, step // 10)
                run.log("val", {"elbo": -1 / step, "bits": float("inf")}, step, step // 10)
            time.sleep(given.pause)
        z = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
        run.latents(z, np.arange(20) % 10, "val", given.steps)
        run.summary["scores"] = {"val/elbo": -0.5}
    print("imported", [name for name in ("wandb", "torch") if name in sys.modules])


if __name__ == "__main__":
    guard(main)
