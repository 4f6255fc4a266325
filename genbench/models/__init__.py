"""Model families by name. A new one is one file, its config, and one line here."""

from genbench.models import ae, gan, vae
from genbench.models.recipe import Recipe, State, draw_z

MODELS: dict[str, Recipe] = {"ae": ae.RECIPE, "vae": vae.RECIPE, "gan": gan.RECIPE}

__all__ = ["MODELS", "Recipe", "State", "draw_z"]
