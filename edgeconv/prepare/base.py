"""What a float-side pass is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgeconv.types import Layer, Ranges, Recipe, Weights

__all__ = ["Floats", "Pass"]


@dataclass(frozen=True)
class Floats:
    """A float graph as passes see it, the same for every format.

    Attributes:
        layers: In execution order.
        weights: Of the layers that have a kernel.
        ranges: Of the activations, clipped as they will be quantized.
        precisions: Layer name -> what the recipe wants of it.
        recipe: For the passes' own settings.
    """

    layers: Sequence[Layer]
    weights: Weights
    ranges: Ranges
    precisions: Mapping[str, str]
    recipe: Recipe


#: Returns the layers that it changes, and nothing where none needs it.
Pass = Callable[[Floats], Weights]
