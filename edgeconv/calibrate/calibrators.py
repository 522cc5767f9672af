"""Calibrators: which part of what was seen a quantized tensor is to cover.

    minmax:      [min(x), max(x)]
    percentile:  the narrowest whole bins that keep p percent of the values,
                 as many cut at either end, never wider than [min(x), max(x)];
                 values in the bin of 0 don't count, every range holds them
    trimmed:     what all items but the 2% that reach furthest need, at either end
    mse:         least squared error of cutting and rounding; see ``calibrate.mse``
    entropy:     least loss of information (KL); see ``calibrate.entropy``

Every range is widened to hold 0, which padding and ReLU need exactly (Jacob et
al., CVPR 2018, section 2.1). A tensor that was 0 throughout gets [0, 1]: any
step represents it, and one near 0 would make the int32 bias of the layer that
reads it saturate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from edgeconv.calibrate.entropy import least_divergence
from edgeconv.calibrate.grid import Grid, grid_of
from edgeconv.calibrate.mse import least_squared_error
from edgeconv.errors import InternalError, UsageError
from edgeconv.types import Array, Calibrator, FloatGraph, Ranges, Recipe, TensorRange

__all__ = ["CALIBRATORS", "clip", "needs_histograms"]

#: A tensor that never leaves this is dead (trained ones reach 1e-2 and more). Steps
#: that fine overflow the kernels' multipliers: LiteRT aborts, as on untrained
#: MobileNets, whose activations fade to 1e-10. Beside a dead tensor's [0, 1] an ADD
#: needs 2 * 1 / (2^20 * width) < 1, so a width beyond 2e-6 (add.cc, Prepare).
_NARROWEST: Final = 1e-5

#: Of the items, at either end. A percentile of values can't leave out a picture on which
#: all of a tensor is fifty times as large as usual without cutting into all the others.
_ODD_SHARE: Final = 0.02

Clipping = Callable[[TensorRange, Recipe, Grid], tuple[float, float]]
Search = Callable[[Array, float, float, float, Grid], tuple[float, float]]


def clip(ranges: Ranges, recipe: Recipe, graph: FloatGraph) -> Ranges:
    """The range that each tensor is quantized over.

    The graph's outputs keep all that was seen: their rare large values are the
    model's surest answers. So do its inputs, in whatever layout: pixels and features
    often came on a grid of 255 steps between their ends, which no rounding harms then.

    Args:
        ranges: What was seen; with histograms where a calibrator needs them.
        recipe: Its calibrators, by layer, its ``percentile``, and the precisions
            whose steps are to serve.
        graph: Where the tensors are.

    Returns:
        The same tensors and histograms, ``low <= 0 <= high`` and ``low < high``.

    Raises:
        UsageError: The recipe's percentile makes no sense.
    """
    outputs = {spec.name for spec in graph.outputs}
    given = [ranges[spec.name] for spec in graph.inputs if spec.name in ranges]
    clipped = {}
    for name, seen in ranges.items():
        layer = graph.tensor_layers.get(name, "")
        whole = name in outputs or any(_holds_the_same(seen, each) for each in given)
        chosen = "minmax" if whole else recipe.calibrator_of(layer, graph.format)
        clipped[name] = _clip(seen, recipe, chosen, grid_of(recipe, layer, graph.format))
    return clipped


def _holds_the_same(one: TensorRange, other: TensorRange) -> bool:
    """Whether two tensors hold the same values, as one and its transpose do."""
    ends = (one.low, one.high, one.items) == (other.low, other.high, other.items)
    return ends and all(
        np.array_equal(a, b)
        for a, b in ((one.item_lows, other.item_lows), (one.item_highs, other.item_highs))
        if a is not None and b is not None
    )


def needs_histograms(recipe: Recipe) -> bool:
    """Whether a calibrator of the recipe looks at more than the minimum and maximum."""
    named = {recipe.calibrator, *(scope.calibrator or "minmax" for scope in recipe.scopes)}
    return not named <= {"minmax", "trimmed"}


def _clip(seen: TensorRange, recipe: Recipe, calibrator: Calibrator, grid: Grid) -> TensorRange:
    low, high = CALIBRATORS[calibrator](seen, recipe, grid)
    chosen = _with_zero(max(low, seen.floor), high)
    # Of a tensor that is zero almost always, a percentile would leave nothing.
    for low, high in (chosen, _with_zero(seen.low, seen.high)):
        if high - low > _NARROWEST:
            return replace(seen, low=low, high=high)
    return replace(seen, low=0.0, high=1.0)


def _with_zero(low: float, high: float) -> tuple[float, float]:
    return min(low, 0.0), max(high, 0.0)


def _minmax(seen: TensorRange, recipe: Recipe, grid: Grid) -> tuple[float, float]:
    return seen.low, seen.high


def _percentile(seen: TensorRange, recipe: Recipe, grid: Grid) -> tuple[float, float]:
    if not 50.0 < recipe.percentile <= 100.0:
        raise UsageError(
            f"The percentile is {recipe.percentile}, which keeps too little or too much.",
            "Give a share in percent above 50 and at most 100, such as 99.99.",
        )
    histogram = _histogram(seen)
    width = 2 * seen.edge / histogram.size
    counts = histogram.copy()
    counts[counts.size // 2] = 0
    cut = counts.sum() * (100.0 - recipe.percentile) / 200.0
    left = int(np.searchsorted(np.cumsum(counts), cut, side="right"))
    right = int(np.searchsorted(np.cumsum(counts[::-1]), cut, side="right"))
    low = -seen.edge + left * width
    high = seen.edge - right * width
    if histogram[counts.size // 2]:
        high = max(high, width)
    return max(low, seen.low), min(high, seen.high)


def _trimmed(seen: TensorRange, recipe: Recipe, grid: Grid) -> tuple[float, float]:
    if seen.item_lows is None or seen.item_highs is None:
        raise InternalError("The trimmed calibrator was given ranges without items.")
    odd = min(int(_ODD_SHARE * seen.items), len(seen.item_lows) - 1)
    return float(seen.item_lows[odd]), float(seen.item_highs[odd])


def _searched(search: Search) -> Clipping:
    def clipping(seen: TensorRange, recipe: Recipe, grid: Grid) -> tuple[float, float]:
        return search(_histogram(seen), seen.edge, seen.low, seen.high, grid)

    return clipping


def _histogram(seen: TensorRange) -> Array:
    if seen.counts is None:
        raise InternalError("A calibrator was given ranges without histograms.")
    return seen.counts


CALIBRATORS: Mapping[Calibrator, Clipping] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "trimmed": _trimmed,
    "mse": _searched(least_squared_error),
    "entropy": _searched(least_divergence),
}
