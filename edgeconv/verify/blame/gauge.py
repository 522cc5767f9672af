"""Gauge: what one unit's output tells, summed up item by item.

Sums are float64 over float32 values; nothing of an item is kept.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from edgeconv.types import Array
from edgeconv.verify.blame.runs import Look

__all__ = ["Gauge", "decibels", "energy"]

#: Squares that are summed in float32 before float64 takes over.
_BLOCK: Final = 1024


def decibels(signal: float, noise: float) -> float | None:
    """10 log10(signal / noise); None where there is no noise, or nothing to relate it to."""
    if signal <= 0.0 or noise <= 0.0 or not math.isfinite(signal) or not math.isfinite(noise):
        return None
    return 10.0 * (math.log10(signal) - math.log10(noise))


class Gauge:
    """Sums over the items seen so far.

    Args:
        representable: Ends of what the candidate's tensor can hold; None for float.
        channel_axis: Of the output.

    Attributes:
        signal: Energy of the float model's output.
        noise: Energy of the candidate's error there, from all layers so far.
        local_noise: Energy of what the unit alone adds.
        low: Smallest value in the float model.
        high: Largest.
        clipped: Share of the float model's values that the candidate can't hold, percent.
    """

    def __init__(self, representable: tuple[float, float] | None, channel_axis: int) -> None:
        self.signal = self.noise = self.local_noise = 0.0
        self.low, self.high = math.inf, -math.inf
        self._representable, self._axis = representable, channel_axis
        self._beyond = self._count = 0
        self._shift: Array = np.zeros(0)
        self._seen = 0

    def add(self, look: Look) -> None:
        """Fold in one item."""
        expected, error = look.expected, look.found - look.expected
        local = look.local_found - look.local_expected
        self.signal += energy(expected)
        self.noise += energy(error)
        self.local_noise += energy(local)
        low = float(expected.min(initial=math.inf))
        high = float(expected.max(initial=-math.inf))
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._count_clipped(expected, low, high)
        self._add_channels(local)

    @property
    def clipped(self) -> float:
        """See the class."""
        return 100.0 * self._beyond / self._count if self._count else 0.0

    @property
    def shift(self) -> Array:
        """float64 [C]: mean of the local error in each channel."""
        return self._shift / max(1, self._seen)

    @property
    def shift_share(self) -> float:
        """Part of the local error's energy that is a constant in each channel, 0 to 1."""
        if self.local_noise <= 0.0:
            return 0.0
        return float(np.sum(self.shift**2) * self._seen / self.local_noise)

    def _count_clipped(self, expected: Array, lowest: float, highest: float) -> None:
        self._count += expected.size
        if self._representable is None:
            return
        low, high = self._representable
        # Half a step beyond an end still rounds to it.
        half = (high - low) / 512.0
        if lowest >= low - half and highest <= high + half:
            return
        self._beyond += int(np.count_nonzero((expected < low - half) | (expected > high + half)))

    def _add_channels(self, local: Array) -> None:
        axis = self._axis if -local.ndim <= self._axis < local.ndim else local.ndim - 1
        others = tuple(i for i in range(local.ndim) if i != axis % max(1, local.ndim))
        sums = np.asarray(local.sum(axis=others), np.float64)
        self._shift = sums if self._seen == 0 else self._shift + sums
        self._seen += local.size // max(1, sums.size)


def energy(value: Array) -> float:
    """Sum of squares. One infinity makes it infinite; NaN counts as that."""
    flat = value.reshape(-1)
    whole = flat.size // _BLOCK * _BLOCK
    blocks, rest = flat[:whole].reshape(-1, _BLOCK), flat[whole:].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(np.einsum("ij,ij->i", blocks, blocks).sum(dtype=np.float64))
        total += float(np.einsum("i,i->", rest, rest))
    return math.inf if math.isnan(total) else total
