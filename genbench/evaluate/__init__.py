"""What is measured and drawn once, at the end, with the best epoch's weights."""

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from ignite.engine import Engine

from genbench import UserError
from genbench.config import Config
from genbench.data import Batches, Data
from genbench.handlers import EVAL_BATCH
from genbench.models import MODELS, Recipe, State
from genbench.run import first_line

TORN = (EOFError, UnpicklingError)  # what half a file gives


def split_scores(evaluator: Engine, data: Data, split: str) -> dict[str, float]:
    """The evaluation scalars of a whole split, as `split/name`."""
    evaluator.run(Batches(data.splits[split], EVAL_BATCH))
    return {f"{split}/{name}": value for name, value in evaluator.state.metrics.items()}


def load_run(run_dir: str | Path, device: str = "cpu") -> tuple[Recipe, Config, State]:
    """A finished run's model, with the weights of its best epoch (of its last, if none is best).

    >>> recipe, config, state = load_run("runs/RUN")
    >>> x = recipe.generate(state, draw_z(state, config, 64, seed=0))

    Raises:
        UserError: The folder holds no finished run with checkpoints.
    """
    folder = Path(run_dir)
    try:
        about = json.loads((folder / "config.json").read_text())
        recipe = MODELS[about["model"]]
        config = recipe.config(**about["config"])
        state = recipe.build(config, tuple(about["shape"]), 1, device)
        saved = best_weights(folder / "checkpoints", device)
        state.modules.load_state_dict(saved["modules"])  # noise and optimisers stay the device's
        state.step = saved["step"]
    except OSError as error:
        raise UserError(
            f"{folder}: no run with checkpoints ({error.strerror}); `genbench runs` lists them"
        ) from error
    except (UserError, LookupError, TypeError, ValueError, RuntimeError, *TORN) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"{folder}: not a run of this genbench, or damaged ({reason})") from error
    state.modules.eval()
    return recipe, config, state


def best_weights(folder: Path, device: str) -> dict[str, Any]:
    """The checkpoint of the best epoch, or of the last where no epoch was scored.

    Raises:
        OSError: There is neither.
    """
    name = "best.pt" if (folder / "best.pt").is_file() else "last.pt"
    return torch.load(folder / name, map_location=device, weights_only=True)
