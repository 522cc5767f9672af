"""The class that lost most.

Of 1,000 classes the worst estimate is mostly luck, so the bounds are of the
largest drop δ* over all classes, whichever has it:

    upper   the largest upper bound of any class. That of the class with δ* holds
            δ* already, so no correction is needed
    lower   the largest lower bound of any class, each at 95% over the number of
            classes (Bonferroni), since any of them may be too high
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from edgeconv.types import Array, Interval
from edgeconv.verify.paired import Z_ONE_SIDED, Z_TWO_SIDED, tango_upper

__all__ = ["ClassMeter", "WorstClass"]

#: Of fewer items the drop has no meaning: one answer more is 25 points and beyond.
_FEWEST = 5


@dataclass(frozen=True)
class WorstClass:
    """The class whose drop is proved largest.

    Attributes:
        index: The class; of equals the one with the larger drop, then with more
            items, then with the lower index.
        samples: Items of it.
        drop: Points; the estimate is this class's, the bounds are of the largest
            drop of any class.
    """

    index: int
    samples: int
    drop: Interval


class ClassMeter:
    """Streaming paired counts by class; three numbers a class."""

    def __init__(self, classes: int) -> None:
        #: int64 [3, C]: the reference alone right, the candidate alone right, all items.
        self._counts = np.zeros((3, classes), dtype=np.int64)

    def add(self, y: Array, ours: Array, theirs: Array) -> None:
        """Fold in some items.

        Args:
            y: int64 [N], labels within the classes.
            ours: bool [N], the reference is right.
            theirs: bool [N], the candidate is right.
        """
        for row, members in enumerate((ours & ~theirs, theirs & ~ours, np.ones_like(ours))):
            np.add.at(self._counts[row], y[members], 1)

    def worst(self) -> WorstClass | None:
        """None where no class has five items."""
        ranked = np.flatnonzero(self._counts[2] >= _FEWEST)
        if len(ranked) == 0:
            return None
        cases = [_Case(*(int(v) for v in self._counts[:, index])) for index in ranked]
        bounds = _Bounds(set(cases), len(ranked))
        place = max(range(len(cases)), key=lambda at: (*bounds.rank(cases[at]), -at))
        return WorstClass(int(ranked[place]), cases[place].n, bounds.largest(cases[place]))


class _Case(NamedTuple):
    b: int
    c: int
    n: int

    @property
    def drop(self) -> float:
        return 100.0 * (self.b - self.c) / self.n


class _Bounds:
    """Bounds of the largest drop among classes that were counted like ``cases``."""

    def __init__(self, cases: set[_Case], classes: int) -> None:
        self._cases = cases
        one, two = (NormalDist().inv_cdf(1.0 - level / classes) for level in (0.05, 0.025))
        self._lower = {case: -tango_upper(case.c, case.b, case.n, one) for case in cases}
        self._lower_two = max(-tango_upper(case.c, case.b, case.n, two) for case in cases)

    def rank(self, case: _Case) -> tuple[float, float, int]:
        """Greater for a class of which more is proved."""
        return self._lower[case], case.drop, case.n

    def largest(self, case: _Case) -> Interval:
        """The bounds, around the estimate of ``case``."""
        one, two = (
            max(tango_upper(*each, z) for each in self._cases) for z in (Z_ONE_SIDED, Z_TWO_SIDED)
        )
        return Interval(case.drop, (self._lower_two, two), max(self._lower.values()), one)
