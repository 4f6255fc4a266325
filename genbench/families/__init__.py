"""Model families by name. Each says everything about itself in its own package; see `Family`."""

from genbench import UserError
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
        UserError: It is not registered, or cannot learn classes where that is asked for.
    """
    family = FAMILIES.find(config.model, "model")
    if config.conditional and not family.conditional:
        able = ", ".join(name for name, other in FAMILIES.items() if other.conditional)
        raise UserError(
            f"conditional=True: model {config.model} learns no classes; those that can: {able}"
        )
    return family


__all__ = ["BUILT_IN", "FAMILIES", "Family", "family_of"]
