"""Model families by name. A new one is one file, its config, and one line here."""

from genbench.models import ae, vae
from genbench.models.recipe import Recipe, State

MODELS: dict[str, Recipe] = {"ae": ae.RECIPE, "vae": vae.RECIPE}

__all__ = ["MODELS", "Recipe", "State"]
