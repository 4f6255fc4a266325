"""What a training costs, by epoch: its speed, its memory, and the learning rate it is at."""

import resource
import sys
import time

import torch
from ignite.engine import Engine, Events

from genbench.families.state import State
from genbench.record import Run

MEGABYTE = 2**20
NOT_REPRODUCIBLE = ("images_per_second", "peak_memory")  # of one training, done twice


def attach_costs(trainer: Engine, run: Run, state: State) -> None:
    """Log as `train/...` after every epoch, before it is validated:

    lr: the learning rate of the last step, of the first optimiser (a GAN's generator's).
    images_per_second: over the epoch's steps, those of before a resume not counted.
    peak_memory: MB, the most that the process had so far; on a GPU, that its tensors had.
    """
    since, images = time.monotonic(), 0

    @trainer.on(Events.EPOCH_STARTED)
    def start() -> None:
        nonlocal since, images
        since, images = time.monotonic(), 0

    @trainer.on(Events.ITERATION_COMPLETED)
    def count() -> None:
        nonlocal images
        images += len(trainer.state.batch[0])  # type: ignore[index]

    @trainer.on(Events.EPOCH_COMPLETED)
    def log() -> None:
        group = next(iter(state.optimizers.values())).param_groups[0]
        costs = {
            "lr": group["lr"],
            "images_per_second": images / max(time.monotonic() - since, 1e-6),
            "peak_memory": peak_memory(state.device),
        }
        run.log("train", costs, state.step, state.epoch)


def peak_memory(device: torch.device) -> float:
    """The most memory so far in MB: of tensors on a GPU, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MEGABYTE
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / MEGABYTE if sys.platform == "darwin" else kilobytes / 1024
