"""How far a candidate's numbers are from the reference's, streamed.

Sums run item by item, so the result doesn't depend on the batch size.
"""

from __future__ import annotations

import math

import numpy as np

from edgeconv.types import Array

__all__ = ["SignalMeter"]


class SignalMeter:
    """Power of the reference and of the error, and the angle between the two.

    Attributes:
        largest_reference: max |a| so far.
        largest_error: max |a - b| so far.
    """

    def __init__(self) -> None:
        self.largest_reference = 0.0
        self.largest_error = 0.0
        self._items = 0
        self._signal = 0.0
        self._error = 0.0
        self._cosine_sum = 0.0
        self._cosine_min = math.inf
        self._units = 0
        self._mean: Array = np.zeros(0)
        self._scatter: Array = np.zeros(0)

    def add(self, reference: Array, candidate: Array) -> None:
        """Fold in some items.

        Args:
            reference: float64 [N, U], finite.
            candidate: float64 [N, U], finite.
        """
        if self._items == 0:
            self._units = reference.shape[1]
            self._mean = np.zeros(self._units)
            self._scatter = np.zeros(self._units)
        for a, b in zip(reference, candidate, strict=True):
            self._add_item(a, b)

    def _add_item(self, a: Array, b: Array) -> None:
        error = a - b
        signal = float(a @ a)
        self._items += 1
        self._signal += signal
        self._error += float(error @ error)
        self.largest_reference = max(self.largest_reference, float(np.abs(a).max(initial=0.0)))
        self.largest_error = max(self.largest_error, float(np.abs(error).max(initial=0.0)))
        cosine = _cosine(float(a @ b), signal, float(b @ b))
        self._cosine_sum += cosine
        self._cosine_min = min(self._cosine_min, cosine)
        # Welford's update: the spread of each unit over the items, in one pass.
        delta = a - self._mean
        self._mean += delta / self._items
        self._scatter += delta * (a - self._mean)

    @property
    def sqnr_db(self) -> float | None:
        """Signal power over error power, dB; None without an error or a signal."""
        if self._error == 0.0 or self._signal == 0.0:
            return None
        return 10.0 * (math.log10(self._signal) - math.log10(self._error))

    @property
    def relative_error(self) -> float | None:
        """‖a - b‖ / ‖a‖ over all items, percent; None where a is 0 and b isn't."""
        return _percent(math.sqrt(self._error), math.sqrt(self._signal))

    @property
    def max_relative_difference(self) -> float | None:
        """max|a - b| / max|a| over all items, percent; None where a is 0 and b isn't."""
        return _percent(self.largest_error, self.largest_reference)

    @property
    def spread_error(self) -> float | None:
        """Error over the reference's own spread around its mean, percent.

        Always answering the reference's mean answer gives 100. None where the
        reference gives the same answer to every item.
        """
        spread = float(self._scatter.sum())
        # Rounding alone leaves a scatter of this order in a constant signal.
        if self._items < 2 or spread <= 1e-20 * self._signal:
            return None
        return 100.0 * math.sqrt(self._error / spread)

    @property
    def cosines(self) -> tuple[float, float] | None:
        """(mean, smallest) cosine over the items; None for a single unit, which has no angle."""
        if self._items == 0 or self._units < 2:
            return None
        return self._cosine_sum / self._items, self._cosine_min


def _cosine(dot: float, a: float, b: float) -> float:
    """Cosine from a dot product and two squared norms; two zero vectors are alike."""
    if a == 0.0 or b == 0.0:
        return 1.0 if a == b else 0.0
    return max(-1.0, min(1.0, dot / (math.sqrt(a) * math.sqrt(b))))


def _percent(part: float, whole: float) -> float | None:
    if whole == 0.0:
        return 0.0 if part == 0.0 else None
    return 100.0 * part / whole
