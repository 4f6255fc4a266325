"""A training in a process of its own, which kills itself with -9 at a chosen place.

`weights_hash` tells whether what goes on is what was never killed.
"""

import dataclasses
import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from forked import SERVER

from genbench.config import Config
from genbench.record import Record

Place = tuple[str, int] | None  # ("step", 7); ("writing", 3): half of the third checkpoint


def train_until(config: Config, place: Place = None, resume: Path | None = None) -> int:
    """Train until the place is reached, else to the end; the process's exit code."""
    process = SERVER.Process(target=_train, args=(config, place, resume, dict(os.environ)))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def reproducible(record: Record) -> list[list[tuple[str, Any]]]:
    """metrics.jsonl without what differs whenever a training is done again."""
    from genbench.handlers.costs import NOT_REPRODUCIBLE
    from genbench.handlers.pictures import FIRST

    rows = map(json.loads, (record.path / "metrics.jsonl").read_text().splitlines())
    rows = [row for row in rows if "file" not in row or row["epoch"] <= FIRST]  # later: by time
    return [[(k, v) for k, v in row.items() if k not in NOT_REPRODUCIBLE] for row in rows]


def weights_hash(checkpoint: Path) -> str:
    """Of all tensors of a checkpoint's modules and optimisers."""
    import torch

    saved = torch.load(checkpoint, weights_only=True)
    digest = hashlib.sha256()
    moments = [s for each in saved["optimizers"].values() for s in each["state"].values()]
    for tensors in (saved["modules"], *moments):
        for tensor in tensors.values():
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _train(config: Config, place: Place, resume: Path | None, variables: dict[str, str]) -> None:
    import torch

    from genbench import train as module

    os.environ.update(variables)
    torch.set_num_threads(1)
    what, n = place or ("", 0)
    if what == "step":
        module.make_trainer = _fatal_step(module.make_trainer, n)  # type: ignore[assignment]
    elif what == "writing":
        torch.save = _fatal_save(torch.save, n)
    module.train(config, resume=resume)


def _fatal_step(make_trainer: Any, step: int) -> Any:
    def make(model: Any) -> Any:
        train_step = model.steps.train_step

        def fatal(state: Any, x: Any) -> Any:
            if state.step == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return train_step(state, x)

        model.steps = dataclasses.replace(model.steps, train_step=fatal)
        return make_trainer(model)

    return make


def _fatal_save(save: Any, nth: int) -> Any:
    count = iter(range(1, 1_000_000))

    def torn(saved: Any, file: Any) -> None:
        if next(count) == nth:
            file.write(b"half of a checkpoint")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        save(saved, file)

    return torn
