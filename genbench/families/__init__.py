"""Model families by name. Each says everything about itself in its own package; see `Family`."""

from genbench.config import Config
from genbench.families.family import Family
from genbench.registry import Registry

BUILT_IN = (
    "genbench.families.ae:FAMILY",
    "genbench.families.vae:FAMILY",
    "genbench.families.gan:FAMILY",
    "genbench.families.flow:FAMILY",
)
FAMILIES: Registry[Family] = Registry("genbench.families", BUILT_IN)


def family_of(config: Config) -> Family:
    """The family that a configuration is of.

    Raises:
        UserError: It is not registered.
    """
    return FAMILIES.find(config.model, "model")


__all__ = ["BUILT_IN", "FAMILIES", "Family", "family_of"]
