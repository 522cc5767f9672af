"""Expected calibration error: how far confidence and accuracy lie apart.

ECE = Σ over bins of (items in the bin / all items) |accuracy - mean confidence|
"""

from __future__ import annotations

import numpy as np

from edgeconv.types import Array

__all__ = ["CalibrationMeter"]

#: As in the paper; fewer hide what cancels out, more are emptier.
_BINS = 15


class CalibrationMeter:
    """Streaming expected calibration error of one model.

    Source:
        C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On calibration of modern
        neural networks, ICML 2017, equations 2 to 5.
    """

    def __init__(self) -> None:
        self._items = 0
        # Right answers minus confidence, summed by bin: |accuracy - confidence| × items.
        self._gaps = np.zeros(_BINS)

    def add(self, confidence: Array, right: Array) -> None:
        """Fold in some items.

        Args:
            confidence: float64 [N] in [0, 1], the probability of the model's answer.
            right: bool [N], whether that answer is the label.
        """
        bins = np.clip(np.ceil(confidence * _BINS).astype(np.int64) - 1, 0, _BINS - 1)
        # Adds item by item, so that the batch size changes no bit.
        np.add.at(self._gaps, bins, right - confidence)
        self._items += len(confidence)

    @property
    def error(self) -> float | None:
        """Percent; None of nothing."""
        if self._items == 0:
            return None
        return 100.0 * float(np.abs(self._gaps).sum()) / self._items
