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
from edgeconv.prepare.follow import follow
from edgeconv.prepare.lift_channels import lift_channels
from edgeconv.prepare.round_adaptively import adaptive_rounding
from edgeconv.prepare.samples import Memo, Samples
from edgeconv.targets.base import Target
from edgeconv.types import Array, FloatGraph, Ranges, Recipe

__all__ = [
    "PASSES",
    "RESCALING",
    "ROUNDING",
    "Floats",
    "Memo",
    "Pass",
    "Samples",
    "apply",
    "check",
    "follow",
    "rescale",
]

#: Passes that change what activations hold: they come first, and ranges after them.
RESCALING: Final[Mapping[str, Pass]] = {"equalize": equalize}
#: Passes that put kernels on their grid; what comes after them changes no kernel.
ROUNDING: Final[Mapping[str, Pass]] = {"adaptive_rounding": adaptive_rounding}
PASSES: Final[Mapping[str, Pass]] = {
    **RESCALING,
    "lift_channels": lift_channels,
    **ROUNDING,
    "correct_bias": correct_bias,
}


def check(recipe: Recipe) -> None:
    """Refuse a recipe with passes that don't exist.

    Raises:
        UsageError: There is no such pass.
    """
    for name in recipe.passes:
        if name not in PASSES:
            raise UsageError(
                f"There is no pass {name!r}.", f"Choose among: {', '.join(sorted(PASSES))}."
            )


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
    check(recipe)
    wanted = tuple(name for name in recipe.passes if name in RESCALING)
    return _run(target, graph, ranges, replace(recipe, passes=wanted), folder)


def apply(
    target: Target,
    graph: FloatGraph,
    ranges: Ranges,
    recipe: Recipe,
    folder: Path,
    samples: Samples | None = None,
) -> FloatGraph:
    """Run the rest of the recipe's passes in their order.

    Args:
        target: The format of ``graph``.
        graph: Float, rescaled where the recipe wants it.
        ranges: Clipped.
        recipe: Its ``passes``, ``precision`` and ``scopes``.
        folder: Where changed graphs are written.
        samples: For passes that need data; without it they change nothing.

    Returns:
        ``graph`` itself where no pass changed anything.

    Raises:
        UsageError: There is no such pass.
    """
    check(recipe)
    wanted = tuple(name for name in recipe.passes if name not in RESCALING)
    own = replace(recipe, passes=wanted)
    return _run(target, graph, ranges, own, folder, samples, recipe)


def _run(
    target: Target,
    graph: FloatGraph,
    ranges: Ranges,
    recipe: Recipe,
    folder: Path,
    samples: Samples | None = None,
    whole: Recipe | None = None,
) -> FloatGraph:
    exact: dict[str, Array] = {}
    for number, name in enumerate(recipe.passes):
        layers = target.layers(graph)
        precisions = {layer.name: recipe.precision_of(layer.name, graph.format) for layer in layers}
        outputs = [spec.name for spec in graph.outputs]
        flows = partial(target.flows, graph)
        weights = target.weights(graph)
        floats = Floats(layers, weights, ranges, precisions, recipe, outputs, flows, exact)
        if samples is not None and name in ROUNDING:
            seen = partial(samples.activations, target, graph)
            memo = samples.kept(whole or recipe, graph.format, weights)
            floats = replace(floats, items=len(samples.dataset), samples=seen, memo=memo)
        changed = PASSES[name](floats)
        if name in ROUNDING:
            exact |= {layer: weights[layer][0] for layer in changed}
        if changed:
            graph = target.patch(graph, changed, folder / f"{number}-{name}{target.suffix}")
    return graph
