"""Gains: how many times one kernel another is, by output, by input group and by bias.

The least squares solution of  W' = V diag(g)  is  g_o = <W'_o, V_o> / <V_o, V_o>,  and of
W' = diag(u) V  the same by rows.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from edgeconv.types import Array

__all__ = ["TINY", "Fit", "by_bias", "common_gain", "fit_columns", "fit_groups"]

#: In place of zero in a denominator.
TINY: Final = 1e-30
#: How near to the median gain of the biases more than this share of the outputs must lie.
_NEAR: Final = 0.15
_MOST: Final = 0.5
#: Of the file's largest bias: what was corrected too much to be a measure. The float
#: model's biases differ by as much as its channels' scales.
_SMALL: Final = 1e-2


class Fit(NamedTuple):
    """How a kernel is made from another.

    Attributes:
        gains: float64 [O].
        alike: float64 [O], the share of each output's energy that its gain explains.
        energy: float64 [O], of what it is made from.
        share: Of the whole kernel's energy, explained.
    """

    gains: Array
    alike: Array
    energy: Array
    share: float


def fit_columns(base: Array, kernel: Array, channels: int) -> Fit:
    """The gains that make ``base`` most like ``kernel``; output channels lie last in both.

    Args:
        base: float32 [..., O], or depthwise [..., C, M] with C * M = O.
        kernel: Of the same shape.
        channels: O.
    """
    one, other = base.reshape(-1, channels), kernel.reshape(-1, channels)
    products, energy, power = (
        (a * b).sum(axis=0, dtype=np.float64) for a, b in ((one, other), (one, one), (other, other))
    )
    gains = products / np.maximum(energy, TINY)
    explained = gains * products
    alike = explained / np.maximum(power, TINY)
    return Fit(gains, alike, energy, float(explained.sum() / max(power.sum(), TINY)))


def fit_groups(made: Array, kernel: Array, read: Array, count: int) -> Array:
    """float64 [groups]: what times ``made`` is most like ``kernel``; 0 where nothing is read.

    Args:
        made: float32, a kernel with its columns scaled.
        kernel: Of the same shape.
        read: int64, broadcasts against them: the group that each weight reads.
        count: How many groups there are.
    """
    where = np.broadcast_to(read, kernel.shape).ravel()
    products, energy = (
        np.bincount(where, each.ravel(), count) for each in (made * kernel, made * made)
    )
    found: Array = products / np.maximum(energy, TINY)
    return found


def common_gain(ratios: Array, gains: Array) -> float:
    """What the file's bias is times the one that the gains make; 1 where that can't be told.

    Args:
        ratios: float64 [O], of the biases; NaN where there is none.
        gains: float64 [O], of the kernels.
    """
    usable = np.isfinite(ratios) & (gains > 0)
    off = ratios[usable] / gains[usable]
    middle = float(np.median(off)) if off.size else 1.0
    # A correction moves some outputs far, and a gain moves all of them alike.
    near = np.abs(off - middle) < _NEAR * middle
    return middle if np.count_nonzero(near) > _MOST * gains.size else 1.0


def by_bias(own: Array | None, bias: Array | None, channels: int) -> Array:
    """float64 [O]: factors by the bias; NaN where it tells none.

    Args:
        own: float32 [O] of the float model, or None.
        bias: float32 [O] of the file, real values, or None.
        channels: O.
    """
    found = np.full(channels, np.nan)
    if own is not None and bias is not None and own.size == bias.size == channels:
        one, other = own.reshape(-1).astype(np.float64), bias.reshape(-1)
        usable = (np.abs(other) > _SMALL * np.abs(other).max()) & (one * other > 0)
        found[usable] = other[usable] / one[usable]
    return found
