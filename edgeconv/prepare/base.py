"""What a float-side pass is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeconv.targets.flow import Flow
from edgeconv.types import Array, Layer, Ranges, Recipe, Weights

__all__ = ["Floats", "Pass"]


def _no_samples(tensors: Collection[str], items: int) -> Iterator[Mapping[str, Array]]:
    return iter(())


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
        exact: Kernels as they were before a pass put them on their grid, by layer;
            what rounding is measured against.
        items: How many the calibration set holds.
        samples: (tensors, most items) -> what they hold, item by item, in the file's
            layout; nothing where there is no calibration set.
        memo: What an earlier run of the same pass kept, by layer.
    """

    layers: Sequence[Layer]
    weights: Weights
    ranges: Ranges
    precisions: Mapping[str, str]
    recipe: Recipe
    outputs: Sequence[str] = ()
    flows: Callable[[], Sequence[Flow]] = tuple
    exact: Mapping[str, Array] = field(default_factory=dict)
    items: int = 0
    samples: Callable[[Collection[str], int], Iterator[Mapping[str, Array]]] = _no_samples
    memo: MutableMapping[str, Any] = field(default_factory=dict)


#: Returns the layers that it changes, and nothing where none needs it.
Pass = Callable[[Floats], Weights]
