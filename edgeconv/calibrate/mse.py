"""The range whose quantization costs the least squared error over the histogram.

    E(low, high) = sum over x outside of (x - nearest end)^2  +  n_inside * step^2 / 12
    step         = (high - low) / steps

A narrower range rounds finer and cuts more. Within a bin values are taken to lie
evenly: one cut at an end k bins away costs (k + 1/2)^2 + 1/12 squared widths, one
that is rounded costs step^2 / 12 wherever the grid falls. What is in the bin of 0
costs nothing: after a ReLU these are zeros, which every range represents exactly.

Every pair of bin edges is a candidate. Most ends can't beat the best pair of a coarse
look, whatever the other end; these are left out.

Source: Nagel et al., "A White Paper on Neural Network Quantization", 2021
(arXiv:2106.08295), section 3.1; Banner et al., "Post training 4-bit quantization of
convolutional networks for rapid-deployment", NeurIPS 2019, section 2, for the split
into clipping and rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edgeconv.calibrate.grid import Grid
from edgeconv.types import Array

__all__ = ["least_squared_error"]

#: Of the bin edges on one side, every so many are in the coarse look.
_COARSE: Final = 16
#: Each time leaves fewer ends; after that, hardly.
_PRUNED: Final = 4


@dataclass(frozen=True)
class _Side:
    """What lies on one side of 0, by how far an end is moved out; lengths in bins.

    Attributes:
        ends: float64 [K], rising from 0 to the farthest value.
        cut: float64 [K], squared error of what lies beyond each end.
        kept: float64 [K], how many values lie within, but for the bin of 0.
    """

    ends: Array
    cut: Array
    kept: Array

    def only(self, chosen: Array) -> _Side:
        return _Side(self.ends[chosen], self.cut[chosen], self.kept[chosen])

    def best(self) -> _Side:
        """Better than any end: it rounds as the nearest and cuts nothing."""
        return _Side(self.ends[:1], np.zeros(1), self.kept[:1])

    def coarse(self) -> _Side:
        return self.only(np.unique(np.append(np.arange(0, self.ends.size, _COARSE), -1)))


def least_squared_error(
    counts: Array, edge: float, low: float, high: float, grid: Grid
) -> tuple[float, float]:
    """Choose a range.

    Args:
        counts: int64 [bins], over [-edge, edge).
        edge: Half-width of the histogram.
        low: True minimum.
        high: True maximum.
        grid: Of the quantized tensor.

    Returns:
        (low, high), never wider than what was seen, with 0 in it.
    """
    half = counts.size // 2
    width = edge / half
    below = _side(counts[:half][::-1], max(-low, 0.0) / width)
    # All in the bin of 0 is rounded to 0 or finer.
    above = _side(np.append(0, counts[half + 1 :]), max(high, 0.0) / width)
    if not below.kept[-1] + above.kept[-1]:
        return min(low, 0.0), max(high, 0.0)
    search = _symmetric if grid.symmetric else _asymmetric
    down, up = search(below, above, grid.steps)
    return max(-down * width, min(low, 0.0)), min(up * width, max(high, 0.0))


def _side(counts: Array, farthest: float) -> _Side:
    """Sums over the bins from 0 outwards, as far as anything was seen."""
    used = int(np.ceil(farthest))
    n = counts[:used].astype(np.float64)
    ends = np.minimum(np.arange(used + 1.0), farthest)
    middle = np.arange(used) + 0.5
    beyond, first, second = (_beyond(n * middle**power) for power in (0, 1, 2))
    cut = second - 2 * ends * first + (ends**2 + 1 / 12) * beyond
    return _Side(ends, cut, np.append(0.0, np.cumsum(n)))


def _beyond(values: Array) -> Array:
    """Sums of what lies at or past each bin, and 0 past the last."""
    sums: Array = np.append(np.cumsum(values[::-1])[::-1], 0.0)
    return sums


def _asymmetric(below: _Side, above: _Side, steps: int) -> tuple[float, float]:
    # A hair more than the least of the coarse look: sums differ by their order.
    bound = _errors(below.coarse(), above.coarse(), steps).min() * (1 + 1e-9)
    below, above = (side.only(side.cut <= bound) for side in (below, above))
    for _ in range(_PRUNED):
        below = below.only(_errors(below, above.best(), steps)[:, 0] <= bound)
        above = above.only(_errors(below.best(), above, steps)[0] <= bound)
    errors = _errors(below, above, steps)
    i, j = np.unravel_index(np.argmin(errors), errors.shape)
    return float(below.ends[i]), float(above.ends[j])


def _errors(below: _Side, above: _Side, steps: int) -> Array:
    """float64 [below, above]: the error of every pair of ends."""
    span = below.ends[:, np.newaxis] + above.ends
    span *= span
    span *= below.kept[:, np.newaxis] + above.kept
    span *= 1 / (12 * steps**2)
    span += below.cut[:, np.newaxis]
    span += above.cut
    errors: Array = span
    return errors


def _symmetric(below: _Side, above: _Side, steps: int) -> tuple[float, float]:
    short, long = sorted((below, above), key=lambda side: side.ends.size)
    missing = long.ends.size - short.ends.size
    cut = long.cut + np.append(short.cut, np.zeros(missing))
    kept = long.kept + np.append(short.kept, np.full(missing, short.kept[-1]))
    # Where both have as many bins, the last end is the farther of the two.
    ends = np.maximum(long.ends, np.append(short.ends, np.zeros(missing)))
    end = float(ends[np.argmin(cut + kept * (2 * ends / steps) ** 2 / 12)])
    return min(end, float(below.ends[-1])), min(end, float(above.ends[-1]))
