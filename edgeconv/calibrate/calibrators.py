"""Calibrators: which part of what was seen a quantized tensor is to cover.

    minmax:      [min(x), max(x)]
    percentile:  the narrowest whole bins that keep p percent of the values,
                 as many cut at either end, never wider than [min(x), max(x)];
                 values in the bin of 0 don't count, every range holds them

Every range is widened to hold 0, which padding and ReLU need exactly (Jacob et
al., CVPR 2018, section 2.1). A tensor that was 0 throughout gets [0, 1]: any
step represents it, and one near 0 would make the int32 bias of the layer that
reads it saturate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from edgeconv.errors import InternalError, UsageError
from edgeconv.types import Ranges, Recipe, TensorRange

__all__ = ["CALIBRATORS", "clip", "needs_histograms"]

#: A tensor that never leaves this is dead (trained ones reach 1e-2 and more). Steps
#: that fine overflow the kernels' multipliers: LiteRT aborts, as on untrained
#: MobileNets, whose activations fade to 1e-10. Beside a dead tensor's [0, 1] an ADD
#: needs 2 * 1 / (2^20 * width) < 1, so a width beyond 2e-6 (add.cc, Prepare).
_NARROWEST: Final = 1e-5

Clipping = Callable[[TensorRange, Recipe], tuple[float, float]]


def clip(ranges: Ranges, recipe: Recipe, whole: Collection[str] = ()) -> Ranges:
    """The range that each tensor is quantized over.

    Args:
        ranges: What was seen; with histograms where the calibrator needs them.
        recipe: Its ``calibrator`` and ``percentile`` are used.
        whole: Tensors that keep all that was seen: the model's outputs, whose
            rare large values are its surest answers.

    Returns:
        The same tensors and histograms, ``low <= 0 <= high`` and ``low < high``.

    Raises:
        UsageError: The recipe's percentile makes no sense.
    """
    everything = replace(recipe, calibrator="minmax")
    return {
        name: _clip(seen, everything if name in whole else recipe) for name, seen in ranges.items()
    }


def needs_histograms(recipe: Recipe) -> bool:
    """Whether the recipe's calibrator looks at more than the minimum and maximum."""
    return recipe.calibrator != "minmax"


def _clip(seen: TensorRange, recipe: Recipe) -> TensorRange:
    chosen = _with_zero(*CALIBRATORS[recipe.calibrator](seen, recipe))
    # Of a tensor that is zero almost always, a percentile would leave nothing.
    for low, high in (chosen, _with_zero(seen.low, seen.high)):
        if high - low > _NARROWEST:
            return replace(seen, low=low, high=high)
    return replace(seen, low=0.0, high=1.0)


def _with_zero(low: float, high: float) -> tuple[float, float]:
    return min(low, 0.0), max(high, 0.0)


def _minmax(seen: TensorRange, recipe: Recipe) -> tuple[float, float]:
    return seen.low, seen.high


def _percentile(seen: TensorRange, recipe: Recipe) -> tuple[float, float]:
    if not 50.0 < recipe.percentile <= 100.0:
        raise UsageError(
            f"The percentile is {recipe.percentile}, which keeps too little or too much.",
            "Give a share in percent above 50 and at most 100, such as 99.99.",
        )
    if seen.counts is None:
        raise InternalError("The percentile calibrator was given ranges without histograms.")
    width = 2 * seen.edge / seen.counts.size
    counts = seen.counts.copy()
    counts[counts.size // 2] = 0
    cut = counts.sum() * (100.0 - recipe.percentile) / 200.0
    left = int(np.searchsorted(np.cumsum(counts), cut, side="right"))
    right = int(np.searchsorted(np.cumsum(counts[::-1]), cut, side="right"))
    low = -seen.edge + left * width
    high = seen.edge - right * width
    if seen.counts[counts.size // 2]:
        high = max(high, width)
    return max(low, seen.low), min(high, seen.high)


CALIBRATORS: Mapping[str, Clipping] = {"minmax": _minmax, "percentile": _percentile}
