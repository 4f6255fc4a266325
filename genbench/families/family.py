"""What a model family says of itself without torch; its networks and steps are imported later."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from genbench.config import Config
from genbench.scalars import Scalar

if TYPE_CHECKING:
    from genbench.families.state import Shape, State, Steps

CAPABILITIES = ("encode", "decode", "generate", "log_weights")
CODED = {"encode", "decode"}  # what a family can whose codes can be fitted
OF_A_DISCRIMINATOR = {"loss_d", "loss_g", "d_real", "d_fake", "accuracy"}


@dataclass(frozen=True, kw_only=True)
class Family:
    """A model family: everything that the rest of genbench needs to know of it.

    config: Its configuration; `config.model` is its name, on disk too.
    title: Its name in text.
    implementation: Where its `Steps` are, as `module:ATTRIBUTE`; that module may import torch.
    can: Which of `CAPABILITIES` those functions have: what is measured, drawn and reported of a
        model follows from them.
    scalars: What is logged of the validation split after every epoch, by name. With those of a
        discriminator (`OF_A_DISCRIMINATOR`) a collapse or a saturation is watched for.
    small: What `--pareto` keeps small beside the metric: a field, or `seconds` of the run.
    conditional: Whether it can learn classes: its functions then take labels y as well.
    baseline: Fields of the published model that others are held against; empty: none.
    """

    config: type[Config]
    title: str
    implementation: str
    can: frozenset[str]
    scalars: Mapping[str, Scalar]
    small: str = "seconds"
    conditional: bool = False
    baseline: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise `ValueError` for a capability that does not exist."""
        if unknown := self.can - set(CAPABILITIES):
            raise ValueError(f"{self.name}: unknown capabilities {sorted(unknown)}")

    @property
    def name(self) -> str:
        """As flags, records and sweep files have it."""
        return self.config.model

    @property
    def steps(self) -> "Steps":
        """Its functions; imports torch."""
        module, attribute = self.implementation.split(":")
        steps: Steps = getattr(import_module(module), attribute)
        if missing := [name for name in sorted(self.can) if getattr(steps, name) is None]:
            raise TypeError(f"family {self.name}: {self.implementation} has no {missing[0]}")
        return steps

    def build(
        self, config: Config, shape: "Shape", steps_per_epoch: int, device: str, classes: int
    ) -> "State":
        """A new state; the number of classes is said where they are to be learned."""
        count = (classes,) if config.conditional else ()
        return self.steps.build(config, shape, steps_per_epoch, device, *count)

    @property
    def adversarial(self) -> bool:
        """Whether a discriminator trains a generator: it then logs what is watched of the two."""
        return set(self.scalars) >= OF_A_DISCRIMINATOR

    @property
    def judged_by_samples(self) -> bool:
        """Whether its samples are all there is to judge: it has no codes of pictures."""
        return "generate" in self.can and "encode" not in self.can

    def fitted(self, asked: str = "") -> str:
        """What is fitted to its codes to draw from: as asked for, if it has codes; "": its prior.

        Of a family without a prior a mixture.
        """
        own = "" if "generate" in self.can else "mixture"
        return asked or own if self.can >= CODED else own

    def sampler(self, fitted: str) -> str:
        """What samples are drawn from, as evaluations call it."""
        return f"{self.name}+{fitted}" if fitted else self.name

    def is_baseline(self, config: Mapping[str, Any]) -> bool:
        """Whether every field of a configuration that the baseline names is as published."""
        same = (config.get(name) == value for name, value in self.baseline.items())
        return bool(self.baseline) and all(same)
