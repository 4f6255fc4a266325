"""Flow matching (Lipman et al. 2023, arXiv:2210.02747): a velocity field from noise to pictures."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from genbench import UserError
from genbench.config import Count, PictureConfig, Positive, Range
from genbench.families.family import Family
from genbench.scalars import Scalar


@dataclass(frozen=True)
class FlowConfig(PictureConfig):
    """Train a flow-matching model on pictures (Lipman et al. 2023, arXiv:2210.02747)."""

    model: ClassVar[str] = "flow"

    batch_size: Count = 32  # images a step
    lr: Annotated[float, Positive] = 1e-3  # Adam's learning rate
    width: Annotated[int, Range(8)] = 16  # channels of the U-Net's finest level; a multiple of 8
    ema: Annotated[float, Range(0, 1)] = 0.998  # decay of the network's average (0: none)
    solver: Literal["euler", "midpoint"] = "midpoint"  # how samples follow the velocity
    sample_steps: Count = 10  # solver's steps from noise to picture; midpoint looks twice in each

    def __post_init__(self) -> None:
        """Raise `UserError` also for a width that cannot be."""
        super().__post_init__()
        if self.width % 8:
            raise UserError(f"width={self.width}: must be a multiple of 8")

    @property
    def gains(self) -> frozenset[str]:
        """Much by both, little by one alone."""
        return frozenset({"bf16", "compile"})

    def objective(self, n_val: int) -> tuple[str, str]:
        """The loss: unlike a GAN's, it says how well the model fits held-out pictures."""
        return "loss", "minimize"


FAMILY = Family(
    config=FlowConfig,
    title="Flow matching",
    implementation="genbench.families.flow.steps:STEPS",
    can=frozenset({"generate"}),
    scalars={
        "loss": Scalar(
            title="Flow-matching loss", unit="squared velocity a pixel", better="minimize"
        )
    },
    small="seconds",
    conditional=True,
)
