"""Which device a model is on."""

import torch

from genbench import UserError
from genbench.config import Device


def pick_device(choice: Device) -> Device:
    """The device by name; auto takes cuda, else mps, else cpu.

    Raises:
        UserError: The device is not there.
    """
    there: dict[Device, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if choice == "auto":
        return next(name for name, is_there in there.items() if is_there)
    if not there[choice]:
        raise UserError(f"device={choice}: not available on this machine; use --device=auto")
    return choice
