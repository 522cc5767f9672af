"""Nearest-neighbour recall: does a search with the candidate find what it found before?

Every item asks once: the nearest of the reference's other embeddings, by cosine,
to the candidate's embedding of it has to be the nearest to the reference's own.
Of a long series a sample of at most 1,000 items is held (fewer where the
embeddings are long), drawn evenly over the whole series, so that 10,000 items
take no more memory than 1,000.
"""

from __future__ import annotations

import numpy as np

from edgeconv.types import Array, Interval
from edgeconv.verify.paired import wilson

__all__ = ["NeighbourMeter"]

_MOST_ITEMS = 1000
#: Of the two held sets of embeddings together.
_MOST_BYTES = 32 * 2**20

#: Cosines that differ by less are of the same neighbour, such as a picture that is there twice.
_TIE = 1e-6


class NeighbourMeter:
    """A held sample of both embeddings.

    Source:
        J. S. Vitter, Random sampling with a reservoir, ACM Transactions on
        Mathematical Software 11 (1985), 37-57, algorithm R.
    """

    def __init__(self, units: int) -> None:
        most = min(_MOST_ITEMS, max(2, _MOST_BYTES // (8 * max(1, units))))
        self._seen = 0
        self._held = np.zeros((2, most, units), dtype=np.float32)
        # Seeded, so that the same items give the same figure.
        self._random = np.random.default_rng(0)

    def add(self, reference: Array, candidate: Array) -> None:
        """Fold in some items.

        Args:
            reference: float64 [N, U], finite.
            candidate: float64 [N, U], finite.
        """
        most = self._held.shape[1]
        for a, b in zip(reference, candidate, strict=True):
            place = self._seen if self._seen < most else int(self._random.integers(self._seen + 1))
            self._seen += 1
            if place < most:
                self._held[0, place], self._held[1, place] = _unit(a), _unit(b)

    def recall(self) -> Interval | None:
        """Percent, with Wilson's interval; None of fewer than three items."""
        count = min(self._seen, self._held.shape[1])
        # Of two items either is the other's only neighbour.
        if count < 3:
            return None
        gallery, queries = self._held[0, :count], self._held[1, :count]
        ours, theirs = (part @ gallery.T for part in (gallery, queries))
        np.fill_diagonal(ours, -np.inf)
        np.fill_diagonal(theirs, -np.inf)
        found = ours[np.arange(count), theirs.argmax(axis=1)]
        return wilson(int(np.count_nonzero(found >= ours.max(axis=1) - _TIE)), count)


def _unit(row: Array) -> Array:
    norm = float(np.linalg.norm(row))
    return np.asarray(row / norm if norm > 0.0 else row)
