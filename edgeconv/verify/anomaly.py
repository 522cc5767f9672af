"""Area under the ROC curve of an autoencoder's reconstruction error.

    score of an item = mean((x - output)²)
    AUC = P(an anomaly scores higher than a normal item) + ½ P(they score alike)

Both models score the same items, so the interval of the difference is DeLong's
for paired curves. Two perfect curves leave no variance, which proves little of
few items: the bounds are never nearer than Tango's are on as many items as the
rarer label has, none discordant.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

import numpy as np

from edgeconv.types import Array, Interval
from edgeconv.verify.paired import Z_ONE_SIDED, Z_TWO_SIDED, tango_upper

__all__ = ["AnomalyMeter", "Auc", "paired_auc", "scores_of"]


@dataclass(frozen=True)
class Auc:
    """Percent; the drop in points."""

    reference: float
    candidate: float
    drop: Interval


class AnomalyMeter:
    """Two scores and a label an item: 17 bytes, all that grows."""

    def __init__(self) -> None:
        self._scores = array("d"), array("d")
        self._labels = array("b")
        self._binary = True

    def add(self, reference: Array, candidate: Array, y: Array) -> None:
        """Fold in some items.

        Args:
            reference: float64 [N], scores of the reference.
            candidate: float64 [N], scores of the candidate.
            y: int64 [N]; 1 is an anomaly, 0 is none. Others end the measurement.
        """
        self._binary = self._binary and bool(np.isin(y, (0, 1)).all())
        if self._binary:
            self._scores[0].extend(reference.tolist())
            self._scores[1].extend(candidate.tolist())
            self._labels.extend(int(label) for label in y)

    def result(self) -> Auc | None:
        """None where the labels are others than 0 and 1, or only one of the two."""
        y = np.array(self._labels, dtype=bool)
        if not self._binary or y.all() or not y.any():
            return None
        return paired_auc(np.array(self._scores[0]), np.array(self._scores[1]), y)


def scores_of(x: Array, output: Array) -> Array:
    """Mean squared reconstruction error of each item.

    Args:
        x: float64 [N, U].
        output: float64 [N, U].

    Returns:
        float64 [N].
    """
    return np.asarray(np.square(x - output).mean(axis=1))


def paired_auc(reference: Array, candidate: Array, y: Array) -> Auc:
    """The two areas, and how much the candidate lost.

    Args:
        reference: float64 [N], scores.
        candidate: float64 [N], scores.
        y: bool [N], the anomalies; some are, some aren't.

    Source:
        E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Comparing the areas
        under two or more correlated receiver operating characteristic curves,
        Biometrics 44 (1988), 837-845; by ranks as X. Sun, W. Xu, IEEE Signal
        Processing Letters 21 (2014), 1389-1393.
    """
    ours, theirs = _placements(reference, y), _placements(candidate, y)
    variance = sum(_variance(a - b) for a, b in zip(ours, theirs, strict=True))
    before, after = float(ours[0].mean()), float(theirs[0].mean())
    drop = 100.0 * (before - after)
    rarer = int(min(np.count_nonzero(y), np.count_nonzero(~y)))

    def reach(z: float) -> float:
        return max(100.0 * z * math.sqrt(variance), tango_upper(0, 0, rarer, z))

    two, one = reach(Z_TWO_SIDED), reach(Z_ONE_SIDED)
    bounds = [max(-100.0, min(100.0, drop + part)) for part in (-two, two, -one, one)]
    interval = Interval(drop, (bounds[0], bounds[1]), bounds[2], bounds[3])
    return Auc(100.0 * before, 100.0 * after, interval)


def _placements(scores: Array, y: Array) -> tuple[Array, Array]:
    """Share of normal items below each anomaly; share of anomalies above each normal item."""
    together, high, low = _ranks(scores), _ranks(scores[y]), _ranks(scores[~y])
    below = (together[y] - high) / len(low)
    above = 1.0 - (together[~y] - low) / len(high)
    return below, above


def _variance(differences: Array) -> float:
    """Of their mean."""
    return float(differences.var(ddof=1)) / len(differences) if len(differences) > 1 else 0.0


def _ranks(values: Array) -> Array:
    """From 1; equal values share the mean of their places."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[places.reshape(-1)])
