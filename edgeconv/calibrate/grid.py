"""Grid: how many values a quantized activation can have.

int8                 255 steps, asymmetric
int8, ONNX signed    254 steps, symmetric around 0
int16x8              65,534 steps, symmetric around 0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgeconv.types import Format, Recipe

__all__ = ["Grid", "grid_of"]


@dataclass(frozen=True)
class Grid:
    """The values that integers stand for, evenly spaced over a range.

    Attributes:
        steps: Between the lowest and the highest value.
        symmetric: The range is as wide below 0 as above it.
    """

    steps: int = 255
    symmetric: bool = False


_INT8: Final = Grid()
#: Neither -128 nor -32,768 is used.
_SIGNED: Final = Grid(254, symmetric=True)
_INT16: Final = Grid(65534, symmetric=True)


def grid_of(recipe: Recipe, layer: str, format: Format) -> Grid:
    """The grid of what a layer puts out in a file of this format."""
    if recipe.precision_of(layer, format) == "int16x8":
        return _INT16
    return _SIGNED if format == "onnx" and recipe.onnx_activations == "signed" else _INT8
