"""What a float-side pass is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgeconv.targets.flow import Flow
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
        outputs: Names of the model's outputs.
        flows: How factors on channels pass through; asked only by passes that rescale.
    """

    layers: Sequence[Layer]
    weights: Weights
    ranges: Ranges
    precisions: Mapping[str, str]
    recipe: Recipe
    outputs: Sequence[str] = ()
    flows: Callable[[], Sequence[Flow]] = tuple


#: Returns the layers that it changes, and nothing where none needs it.
Pass = Callable[[Floats], Weights]
