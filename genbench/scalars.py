"""What a number of the record is: its title, unit, direction and digits, said once."""

import math
from dataclasses import dataclass
from typing import Literal

Better = Literal["minimize", "maximize", ""]


@dataclass(frozen=True, kw_only=True)
class Scalar:
    """How a scalar is written, and which way is better.

    `depends` names the fields of the configuration that change what the scalar means: runs that
    differ in one of them are not compared by it. `within` are the least and the most that it can
    be: an interval ends there.
    """

    title: str
    unit: str = ""
    better: Better = ""
    digits: int = 4
    depends: tuple[str, ...] = ()
    within: tuple[float, float] = (-math.inf, math.inf)

    @property
    def sign(self) -> int:
        """1 if more is better, -1 if less is, 0 if neither."""
        return {"maximize": 1, "minimize": -1, "": 0}[self.better]

    @property
    def is_distance(self) -> bool:
        """Whether less is better, as it is taken to be where neither is said to be."""
        return self.better != "maximize"

    @property
    def arrow(self) -> str:
        """Which way is better, behind a space; nothing if neither is."""
        return {"maximize": " ↑", "minimize": " ↓", "": ""}[self.better]

    @property
    def heading(self) -> str:
        """As a table names it: `KL (nats an image) ↓`."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.title}{unit}{self.arrow}"

    def show(self, value: float) -> str:
        """The value with this scalar's digits."""
        return f"{value:.{self.digits}f}"


# Of any family, by their names in the record: measures of codes, of a training's stability, and
# what a run took.
MEASURED: dict[str, Scalar] = {
    "active_units": Scalar(title="Active units", digits=1),
    "knn_accuracy": Scalar(title="k-NN accuracy of the code", better="maximize"),
    "probe_accuracy": Scalar(title="Linear-probe accuracy of the code", better="maximize"),
    "floor_bce": Scalar(title="Least possible BCE", unit="nats an image", digits=2),
    "ms_ssim": Scalar(
        title="Reconstruction, MS-SSIM", better="maximize", digits=4, within=(0.0, 1.0)
    ),
    "oscillation_d": Scalar(title="Oscillation of the discriminator's loss", digits=3),
    "oscillation_g": Scalar(title="Oscillation of the generator's loss", digits=3),
    "saturated_epochs": Scalar(
        title="Longest stretch with D saturated", unit="epochs", better="minimize", digits=1
    ),
    "spread": Scalar(title="Spread of the samples", unit="1: the real pictures'", digits=2),
    "nearest": Scalar(
        title="Distance to the nearest other sample", unit="1: the real pictures'", digits=2
    ),
    "lr": Scalar(title="Learning rate", digits=6),
    "images_per_second": Scalar(title="Images a second", better="maximize", digits=0),
    "peak_memory": Scalar(title="Peak memory", unit="MB", better="minimize", digits=0),
    "best_epoch": Scalar(title="Best epoch", digits=1),
    "steps": Scalar(title="Steps trained", digits=0),
    "training_seconds": Scalar(title="Seconds of training", digits=0),
    "seconds": Scalar(title="Seconds of a run, with its scores and pictures", digits=0),
}
