"""Quantize: the Recipe as a file that people read, edit and commit."""

from edgeconv.quantize.recipe import read_recipe, recipe_from_text, recipe_to_text

__all__ = ["read_recipe", "recipe_from_text", "recipe_to_text"]
