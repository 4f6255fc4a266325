"""Checkpoints: all that a training knows at a step, so that it goes on as if it had never ended.

A part of a training that remembers something has `state_dict` and `load_state_dict`, as Ignite's
handlers have. A checkpoint holds the model's state, every part's, and that of the global random
numbers.
"""

import random
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from ignite.engine import Engine, Events

from genbench import UserError, parallel
from genbench.console import first_line, say
from genbench.families.state import State
from genbench.files import whole, writing
from genbench.handlers.training import mid_epoch, over
from genbench.weights import read_checkpoint


class Part(Protocol):
    """What remembers something of a training."""

    def state_dict(self) -> Mapping[str, Any]:
        """What it remembers: tensors, numbers, strings, and dicts, lists and tuples of them."""

    def load_state_dict(self, saved: dict[str, Any], /) -> None:
        """Remember that."""


class GlobalNoise:
    """The global random numbers of Python, NumPy and torch, on the CPU and on GPUs."""

    def state_dict(self) -> dict[str, Any]:
        """Where each of them stands."""
        numpy = dict(np.random.get_state(legacy=False))
        numpy["state"] = {"key": numpy["state"]["key"].tolist(), "pos": numpy["state"]["pos"]}
        return {
            "python": random.getstate(),
            "numpy": numpy,
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all(),  # empty without GPUs
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Put each of them there; GPUs that were not there before, or no longer are, are left."""
        random.setstate(saved["python"])
        np.random.set_state(saved["numpy"])
        torch.set_rng_state(saved["torch"].cpu())
        for i, each in enumerate(saved["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(each.cpu(), i)


class Best:
    """The best value of the objective so far, and whether the last epoch had it."""

    def __init__(self, objective: tuple[str, str]):
        self.name, direction = objective
        self.sign = 1 if direction == "maximize" else -1
        self.value: float | None = None
        self.is_new = False

    def look(self, metrics: dict[str, Any]) -> None:
        """Compare an epoch's value; an epoch without the objective cannot be the best."""
        value = metrics.get(self.name)
        old = self.value
        self.is_new = value is not None and (old is None or self.sign * value > self.sign * old)
        self.value = value if self.is_new else old

    def state_dict(self) -> dict[str, Any]:
        """The best value."""
        return {"value": self.value}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take it over."""
        self.value = saved["value"]


class Checkpoints:
    """The checkpoints in a folder: last.pt, and best.pt, each written whole or not at all.

    best.pt is as complete: of the two, the later one is where a training goes on. So the best epoch
    so far has no last.pt of its own, unless the training ends with it.
    """

    def __init__(self, folder: Path, state: State, best: Best, parts: Mapping[str, Part]):
        self.folder, self.state, self.best = folder, state, best
        self.parts = {**parts, "best": best, "noise": GlobalNoise()}

    def write(self, *names: str) -> None:
        """Write the state of this moment under these names (default: last.pt), in this order.

        Of several processes, which all have the same state, the first one writes.
        """
        if parallel.rank():
            return
        with writing(self.folder):
            self.folder.mkdir(exist_ok=True)
        training = {name: dict(part.state_dict()) for name, part in self.parts.items()}
        saved = {**self.state.state_dict(), "training": training}
        for name in names or ("last.pt",):
            with whole(self.folder / name) as file:
                torch.save(saved, file)

    def go_on(self) -> bool:
        """Put the state and every part where the later checkpoint left them; False: there is none.

        Raises:
            UserError: They are damaged, or of a version that could not go on.
        """
        paths = [path for n in ("best.pt", "last.pt") if (path := self.folder / n).is_file()]
        found = [saved for path in paths if (saved := self._read(path, alone=len(paths) == 1))]
        if not found:
            return False
        saved = max(found, key=lambda checkpoint: checkpoint["step"])
        if "training" not in saved:
            raise UserError(f"{self.folder.parent}: trained by a version that could not resume")
        self.state.load_state_dict(saved)
        for name, part in self.parts.items():
            part.load_state_dict(saved["training"][name])
        return True

    def _read(self, path: Path, alone: bool) -> dict[str, Any] | None:
        try:
            return read_checkpoint(path, str(self.state.device))
        except ValueError as error:
            damage = f"{path}: damaged ({first_line(error)})"
            if alone:
                raise UserError(f"{damage}; without it the run begins anew") from error
            say(f"{damage}; the other checkpoint is taken")
            return None


def attach_checkpoints(
    trainer: Engine, evaluator: Engine, checkpoints: Checkpoints, minutes: float
) -> None:
    """Write a checkpoint after every epoch, and within one every so many minutes (0: never).

    Attached last: what an epoch's end does is done when its checkpoint is written.
    """
    best, written = checkpoints.best, time.monotonic()

    def write() -> None:
        nonlocal written
        names = ["best.pt"] if best.is_new else []
        if over(trainer) or not names:
            names.append("last.pt")
        checkpoints.write(*names)
        best.is_new, written = False, time.monotonic()

    @trainer.on(Events.ITERATION_COMPLETED)
    def within() -> None:
        if minutes and time.monotonic() - written > 60 * minutes and mid_epoch(trainer):
            write()

    @evaluator.on(Events.COMPLETED)
    def compare() -> None:
        best.look(evaluator.state.metrics)

    trainer.add_event_handler(Events.EPOCH_COMPLETED, write)


def tidy(folder: Path, keep: str) -> None:
    """Of a finished run's checkpoints keep all, the best (or the only one), or none."""
    if parallel.rank():
        return
    if keep == "none":
        shutil.rmtree(folder, ignore_errors=True)
    elif keep == "best" and (folder / "best.pt").is_file():
        (folder / "last.pt").unlink(missing_ok=True)
