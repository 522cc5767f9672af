"""Answers of a model that gives one at every step of a sequence, or place of a map."""

from __future__ import annotations

import numpy as np

from edgeconv.types import Array, Interval
from edgeconv.verify.moments import Moments
from edgeconv.verify.paired import Z_ONE_SIDED, Z_TWO_SIDED, tango_upper, wilson

__all__ = ["SequenceMeter"]


class SequenceMeter:
    """Streaming agreement by step and by whole sequence.

    The steps of one sequence go together, so the interval is that of the mean
    over the sequences, not over all steps. Its bounds are never nearer than
    Tango's are on as many items, none discordant: five equal sequences prove
    nothing.
    """

    def __init__(self) -> None:
        self._shares = Moments()
        self._whole = 0

    def add(self, reference: Array, candidate: Array, sound: Array) -> None:
        """Fold in some items.

        Args:
            reference: float64 [N, steps, C], scores.
            candidate: float64 [N, steps, C].
            sound: bool [N]; where False the candidate's answers count as none.
        """
        same = (reference.argmax(axis=2) == candidate.argmax(axis=2)) & sound[:, None]
        self._shares.add((100.0 * same.mean(axis=1)).tolist())
        self._whole += int(np.count_nonzero(same.all(axis=1)))

    @property
    def by_step(self) -> Interval | None:
        """Percent of steps; None of fewer than two sequences."""
        found = self._shares.interval(0.0, 100.0)
        if found is None:
            return None
        two, one = (tango_upper(0, 0, self._shares.count, z) for z in (Z_TWO_SIDED, Z_ONE_SIDED))
        mean = found.estimate
        return Interval(
            estimate=mean,
            ci95=(
                max(0.0, min(found.ci95[0], mean - two)),
                min(100.0, max(found.ci95[1], mean + two)),
            ),
            lower95=max(0.0, min(found.lower95, mean - one)),
            upper95=min(100.0, max(found.upper95, mean + one)),
        )

    @property
    def by_sequence(self) -> Interval:
        """Percent of sequences that agree at every step."""
        return wilson(self._whole, max(1, self._shares.count))
