"""The range whose quantized histogram tells the least less than the whole one.

    p = the histogram within [low, high], what lies outside added to its end bins
    q = the same without what lies outside, merged to 128 levels, each level spread
        evenly over those of its bins that p has anything in
    KL(p || q) = sum of p * log(p / q),   the smallest wins

A narrower range merges fewer bins a level, and piles up more at its ends. Here both
ends move, one after the other, where the source moves one of |x|. The bin of 0 is
left out as in the percentile: its zeros lose nothing.

Within a level q is one value, so a candidate takes 128 sums of a running total
in place of a walk over its bins:

    KL = (sum of p log p  -  sum over levels of P * log(M / K)) / n_p  -  log(n_p / n_q)

with P and M the level's counts in p and q, and K its bins that p has anything in.

Source: Migacz, "8-bit Inference with TensorRT", GTC 2017, slides 23 to 38; as in
onnxruntime/quantization/calibrate.py, get_entropy_threshold.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgeconv.calibrate.grid import Grid
from edgeconv.types import Array

__all__ = ["least_divergence"]

#: Migacz's, and onnxruntime's default.
_LEVELS: Final = 128
#: Counts that q has where p has some and it none (smooth_distribution there).
_NOTHING: Final = 1e-4
#: Ends tried on one side at most; one at a bin tells hardly more.
_TRIED: Final = 256


def least_divergence(
    counts: Array, edge: float, low: float, high: float, grid: Grid
) -> tuple[float, float]:
    """Choose a range.

    Args:
        counts: int64 [bins], over [-edge, edge).
        edge: Half-width of the histogram.
        low: True minimum.
        high: True maximum.
        grid: Of the quantized tensor; only whether it is symmetric matters.

    Returns:
        (low, high), never wider than what was seen, with 0 in it.
    """
    half = counts.size // 2
    width = edge / half
    whole = min(low, 0.0), max(high, 0.0)
    counts = counts.copy()
    counts[half] = 0
    if not counts.any():
        return whole
    search = _symmetric if grid.symmetric else _asymmetric
    start = half + int(np.floor(whole[0] / width))
    end = half + int(np.ceil(whole[1] / width))
    start, end = search(counts, start, end)
    return max((start - half) * width, whole[0]), min((end - half) * width, whole[1])


def _asymmetric(counts: Array, start: int, end: int) -> tuple[int, int]:
    half = counts.size // 2
    ends = end - _moved(end - max(half, start + _LEVELS))
    end = int(ends[np.argmin(_divergence(counts, np.full(ends.size, start), ends))])
    starts = start + _moved(min(half, end - _LEVELS) - start)
    start = int(starts[np.argmin(_divergence(counts, starts, np.full(starts.size, end)))])
    return start, end


def _symmetric(counts: Array, start: int, end: int) -> tuple[int, int]:
    half = counts.size // 2
    widest = max(half - start, end - half)
    reach = widest - _moved(widest - _LEVELS // 2)
    best = int(reach[np.argmin(_divergence(counts, half - reach, half + reach))])
    return max(start, half - best), min(end, half + best)


def _moved(most: int) -> Array:
    """By how many bins an end is moved inwards: int [K], 0 first."""
    return np.arange(0, max(most, 0) + 1, 1 + max(most, 0) // _TRIED)


def _divergence(counts: Array, starts: Array, ends: Array) -> Array:
    """KL of each candidate [starts, ends), of 128 bins or more: float64 [C]."""
    total = _running(counts)
    bounds = starts[:, np.newaxis] + np.outer(ends - starts, np.arange(_LEVELS + 1)) // _LEVELS
    inside = np.diff(total[bounds], axis=1)
    filled = np.diff(_running(counts > 0)[bounds], axis=1)
    wanted = inside.copy()
    information = np.diff(_running(_xlogx(counts))[bounds[:, [0, -1]]], axis=1)[:, 0]
    outside = ((0, starts, total[starts]), (-1, ends - 1, total[-1] - total[ends]))
    for level, bins, piled in outside:
        wanted[:, level] += piled
        filled[:, level] += (counts[bins] == 0) & (piled > 0)
        information += _xlogx(counts[bins] + piled) - _xlogx(counts[bins])
    mass, kept = total[-1], inside.sum(axis=1)
    each = np.log(np.maximum(inside, _NOTHING)) - np.log(np.maximum(filled, 1.0))
    lost = (information - (wanted * each).sum(axis=1)) / mass - np.log(mass / np.maximum(kept, 1))
    found: Array = lost
    return found


def _running(values: Array) -> Array:
    sums: Array = np.append(0.0, np.cumsum(values, dtype=np.float64))
    return sums


def _xlogx(n: Array) -> Array:
    values = np.asarray(n, np.float64)
    result: Array = values * np.log(np.maximum(values, 1.0))
    return result
