"""Files of tensors that anybody may have written: they are read, never run."""

import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from genbench.console import first_line

CODE = re.compile(r"GLOBAL ([\w.]+)")  # what torch says that a file would have called


def read_tensors(path: Path, device: str = "cpu") -> Any:
    """What `torch.save` wrote: tensors, numbers, text, and lists and dicts of them.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is damaged, would run code, or is packed to fill the memory.
    """
    with path.open("rb"):
        pass
    try:
        if zipfile.is_zipfile(path):
            _refuse_packed(path)
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch and pickle raise almost anything on damaged files
        raise ValueError(_reason(error)) from error


def best_weights(folder: Path, device: str) -> dict[str, Any]:
    """The checkpoint of the best epoch, or of the last where no epoch was scored.

    Raises:
        OSError: There is neither.
        ValueError: It is damaged, or no checkpoint.
    """
    name = "best.pt" if (folder / "best.pt").is_file() else "last.pt"
    return read_checkpoint(folder / name, device)


def read_checkpoint(path: Path, device: str) -> dict[str, Any]:
    """What a checkpoint holds: tensors and plain values, and nothing that could run.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is damaged, or no checkpoint.
    """
    saved = read_tensors(path, device)
    if not isinstance(saved, dict):
        raise ValueError(f"{path.name} is no checkpoint")
    return saved


def _refuse_packed(path: Path) -> None:
    """torch stores tensors as they are; what is packed can be a thousand times larger."""
    with zipfile.ZipFile(path) as members:
        packed = [m.filename for m in members.infolist() if m.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise ValueError(f"{packed[0]!r} in it is compressed, as torch never does")


def _reason(error: Exception) -> str:
    """What is wrong, in one line; torch's advice to run the file anyway is not passed on."""
    if code := CODE.search(str(error)):
        return f"it asks to run {code[1]}, which no weights need; it may be malicious"
    if "weights_only" in str(error):
        return "it holds more than tensors; it may be malicious"
    return first_line(error)
