"""Prepare: float-side passes on the folded weights, one a file.

Each says what it requires and ensures, and returns the layers that it changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edgeconv.errors import UsageError
from edgeconv.prepare.base import Floats, Pass
from edgeconv.prepare.correct_bias import correct_bias
from edgeconv.prepare.lift_channels import lift_channels
from edgeconv.targets.base import Target
from edgeconv.types import FloatGraph, Ranges, Recipe

__all__ = ["PASSES", "Floats", "Pass", "apply"]

PASSES: Final[Mapping[str, Pass]] = {
    "lift_channels": lift_channels,
    "correct_bias": correct_bias,
}


def apply(
    target: Target, graph: FloatGraph, ranges: Ranges, recipe: Recipe, folder: Path
) -> FloatGraph:
    """Run the recipe's passes in their order.

    Args:
        target: The format of ``graph``.
        graph: Float.
        ranges: Clipped.
        recipe: Its ``passes``, ``precision`` and ``scopes``.
        folder: Where changed graphs are written.

    Returns:
        ``graph`` itself where no pass changed anything.

    Raises:
        UsageError: There is no such pass.
    """
    for number, name in enumerate(recipe.passes):
        if name not in PASSES:
            raise UsageError(
                f"There is no pass {name!r}.", f"Choose among: {', '.join(sorted(PASSES))}."
            )
        layers = target.layers(graph)
        precisions = {layer.name: recipe.precision_of(layer.name, graph.format) for layer in layers}
        floats = Floats(layers, target.weights(graph), ranges, precisions, recipe)
        changed = PASSES[name](floats)
        if changed:
            graph = target.patch(graph, changed, folder / f"{number}-{name}{target.suffix}")
    return graph
