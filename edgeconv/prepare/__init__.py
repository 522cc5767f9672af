"""Prepare: float-side passes on the folded weights, one a file.

Each says what it requires and ensures, and returns the layers that it changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from edgeconv.errors import UsageError
from edgeconv.prepare.base import Floats, Pass
from edgeconv.prepare.correct_bias import correct_bias
from edgeconv.prepare.equalize import equalize
from edgeconv.prepare.lift_channels import lift_channels
from edgeconv.targets.base import Target
from edgeconv.types import FloatGraph, Ranges, Recipe

__all__ = ["PASSES", "RESCALING", "Floats", "Pass", "apply", "rescale"]

#: Passes that change what activations hold: they come first, and ranges after them.
RESCALING: Final[Mapping[str, Pass]] = {"equalize": equalize}
PASSES: Final[Mapping[str, Pass]] = {
    **RESCALING,
    "lift_channels": lift_channels,
    "correct_bias": correct_bias,
}


def rescale(
    target: Target, graph: FloatGraph, ranges: Ranges, recipe: Recipe, folder: Path
) -> FloatGraph:
    """Run those of the recipe's passes that change what activations hold.

    Args:
        target: The format of ``graph``.
        graph: Float.
        ranges: As observed.
        recipe: Its ``passes``.
        folder: Where changed graphs are written.

    Returns:
        ``graph`` itself where no pass changed anything; else its ranges have to be
        observed anew.

    Raises:
        UsageError: There is no such pass.
    """
    wanted = tuple(name for name in recipe.passes if name in RESCALING or name not in PASSES)
    return _run(target, graph, ranges, replace(recipe, passes=wanted), folder)


def apply(
    target: Target, graph: FloatGraph, ranges: Ranges, recipe: Recipe, folder: Path
) -> FloatGraph:
    """Run the rest of the recipe's passes in their order.

    Args:
        target: The format of ``graph``.
        graph: Float, rescaled where the recipe wants it.
        ranges: Clipped.
        recipe: Its ``passes``, ``precision`` and ``scopes``.
        folder: Where changed graphs are written.

    Returns:
        ``graph`` itself where no pass changed anything.

    Raises:
        UsageError: There is no such pass.
    """
    wanted = tuple(name for name in recipe.passes if name not in RESCALING)
    return _run(target, graph, ranges, replace(recipe, passes=wanted), folder)


def _run(
    target: Target, graph: FloatGraph, ranges: Ranges, recipe: Recipe, folder: Path
) -> FloatGraph:
    for number, name in enumerate(recipe.passes):
        if name not in PASSES:
            raise UsageError(
                f"There is no pass {name!r}.", f"Choose among: {', '.join(sorted(PASSES))}."
            )
        layers = target.layers(graph)
        precisions = {layer.name: recipe.precision_of(layer.name, graph.format) for layer in layers}
        outputs = [spec.name for spec in graph.outputs]
        flows = partial(target.flows, graph)
        weights = target.weights(graph)
        floats = Floats(layers, weights, ranges, precisions, recipe, outputs, flows)
        changed = PASSES[name](floats)
        if changed:
            graph = target.patch(graph, changed, folder / f"{number}-{name}{target.suffix}")
    return graph
