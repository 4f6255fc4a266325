"""A trained model from its run."""

import errno
import os
from pathlib import Path

from genbench import UserError
from genbench.config import Device
from genbench.console import first_line
from genbench.data import steps_per_epoch
from genbench.device import pick_device
from genbench.families import FAMILIES
from genbench.model import Model
from genbench.record import read_run
from genbench.weights import best_weights


def load(run: str | Path, device: Device = "auto") -> Model:
    """A run's model, with the weights of its best epoch (of its last, if none is best).

    Args:
        run: The run's folder.
        device: auto, cpu, cuda or mps.

    Raises:
        UserError: The folder holds no run with checkpoints, or one that is damaged.
    """
    folder, place = Path(run).expanduser(), pick_device(device)
    try:
        record = read_run(folder)
        if not record:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if record.problems:
            raise ValueError(record.problems[0])
        about = record.about
        family = FAMILIES.find(record.model, "model")
        config = family.config.of_record(record.config)
        channels, height, width = about["shape"]
        shape = channels, height, width
        per_epoch = steps_per_epoch(about["images"]["train"], config)
        classes = about["classes"] if config.conditional else {}
        state = family.build(config, shape, per_epoch, place, len(classes))
        saved = best_weights(folder / "checkpoints", place)
        state.modules.load_state_dict(saved["modules"])  # noise and optimisers stay the device's
        state.step = saved["step"]
    except OSError as error:
        raise UserError(
            f"{folder}: no run with checkpoints ({error.strerror}); `genbench runs` lists them"
        ) from error
    except (UserError, LookupError, TypeError, ValueError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"{folder}: not a run of this genbench, or damaged ({reason})") from error
    state.modules.eval()
    return Model(family, state, shape, classes=classes)
