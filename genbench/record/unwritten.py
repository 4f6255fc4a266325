"""The record in those processes of a training that do not write it."""

from pathlib import Path
from typing import Any

import numpy as np

from genbench.record.run import Run
from genbench.record.shapes import Status


class Unwritten(Run):
    """A run as those processes of a training have it that do not write its record.

    `rows`, `summary` and `status` are kept as they are of the one that is written, in `dir`.
    """

    def __init__(self, folder: Path):
        """Of the run that the first process has opened."""
        self.id, self.dir = folder.name, folder
        self.status: Status = "running"
        self.summary: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Nothing to cut back."""

    def go_on(self, step: int, config: dict[str, Any], **facts: Any) -> None:
        """Nothing is written."""

    def begin(self, config: dict[str, Any], **facts: Any) -> None:
        """Nothing is written."""

    def _append(self, row: dict[str, Any]) -> None:
        pass

    def picture(self, name: str, image: np.ndarray, step: int, epoch: int) -> None:
        """Nothing is written."""

    def __exit__(self, *raised: Any) -> None:
        """Nothing is written."""
