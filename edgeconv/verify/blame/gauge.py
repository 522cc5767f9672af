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
        lows: float32 [C]: smallest value of each channel in the float model.
        highs: float32 [C]: largest.
        clipped: Share of the float model's values that the candidate can't hold, percent.
    """

    def __init__(self, representable: tuple[float, float] | None, channel_axis: int) -> None:
        self.signal = self.noise = self.local_noise = 0.0
        self.lows: Array = np.asarray([math.inf], np.float32)
        self.highs: Array = -self.lows
        self.representable, self._axis = representable, channel_axis
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
        others = self._other_axes(expected.ndim)
        lows, highs = expected.min(axis=others), expected.max(axis=others)
        self.lows, self.highs = np.minimum(self.lows, lows), np.maximum(self.highs, highs)
        self._count_clipped(expected, float(lows.min()), float(highs.max()))
        self._add_channels(local, others)

    @property
    def low(self) -> float:
        """Smallest value in the float model."""
        return float(self.lows.min())

    @property
    def high(self) -> float:
        """Largest value in the float model."""
        return float(self.highs.max())

    @property
    def clipped(self) -> float:
        """See the class."""
        return 100.0 * self._beyond / self._count if self._count else 0.0

    @property
    def shift(self) -> Array:
        """float64 [C]: mean of the local error in each channel."""
        return self._shift / max(1, self._seen)

    @property
    def positions(self) -> int:
        """Values of each channel that were seen."""
        return self._seen

    @property
    def shift_share(self) -> float:
        """Part of the local error's energy that is a constant in each channel, 0 to 1."""
        if self.local_noise <= 0.0:
            return 0.0
        return float(np.sum(self.shift**2) * self._seen / self.local_noise)

    def _count_clipped(self, expected: Array, lowest: float, highest: float) -> None:
        self._count += expected.size
        if self.representable is None:
            return
        low, high = self.representable
        # What lies a step of 8 bits beyond an end is rounded rather than clipped.
        low, high = low - (high - low) / 255.0, high + (high - low) / 255.0
        if lowest >= low and highest <= high:
            return
        self._beyond += int(np.count_nonzero((expected < low) | (expected > high)))

    def _other_axes(self, rank: int) -> tuple[int, ...]:
        """All axes but that of the channels."""
        axis = self._axis if -rank <= self._axis < rank else rank - 1
        return tuple(i for i in range(rank) if i != axis % max(1, rank))

    def _add_channels(self, local: Array, others: tuple[int, ...]) -> None:
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
