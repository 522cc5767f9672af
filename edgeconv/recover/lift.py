"""Lift: the most sensitive layers stay in float, as few as hold the gate.

Which, is asked of the first format on a few items; how many, of each format on all that was
held back, since the two formats round differently. A layer that one format alone needs
gets a scope of that format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from edgeconv.recover.account import Workbench
from edgeconv.recover.sensitivity import Sensitivity, most_sensitive
from edgeconv.recover.trial import Glance
from edgeconv.types import Format, Recipe, Scope

__all__ = ["Lift", "literally"]

#: Of the worst, how many are looked at the other way round too.
_CONFIRMED: Final = 8
#: A model with more of its layers in float is no int8 model any more.
_LARGEST_SHARE: Final = 0.5


class Lift:
    """The layers of one model, and how a recipe keeps some of them in float.

    Args:
        bench: Its layers, formats and number of glances.
        glance: Error power over signal power of a recipe.
        base: The best recipe so far.
    """

    def __init__(self, bench: Workbench, glance: Glance, base: Recipe) -> None:
        self._layers, self._formats = bench.layers, bench.formats
        self._glances, self._glance, self._base = bench.glances, glance, base
        self._ranked: list[Sensitivity] = []

    def rank(self) -> list[Sensitivity]:
        """The layers by what they cost, worst first."""
        base = self._base
        ranges = tuple(replace(s, precision=None) for s in base.scopes if s.calibrator)

        def alone(names: Sequence[str]) -> float:
            scopes = tuple(Scope(literally(name), "int8") for name in names)
            return self._glance(replace(base, precision="fp32", scopes=(*ranges, *scopes)))

        def without(names: Sequence[str]) -> float:
            scopes = tuple(Scope(literally(name), "fp32") for name in names)
            return self._glance(replace(base, scopes=(*base.scopes, *scopes)))

        self._ranked = most_sensitive(self._layers, alone, without, self._glances, _CONFIRMED)
        return self._ranked

    def fewest(self, holds: Callable[[int], bool]) -> int | None:
        """The smallest number of layers with which the gate holds; None where none does.

        Doubles until it holds, then halves the gap: more layers in float never lose more.
        """
        most = min(len(self._ranked), int(len(self._layers) * _LARGEST_SHARE))
        low, high = 0, 1
        if most < 1:
            return None
        while not holds(high):
            if high >= most:
                return None
            low, high = high, min(2 * high, most)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle, high)
        return high

    def recipe(self, counts: Mapping[Format, int]) -> Recipe:
        """The base with so many layers in float in each format; none where it isn't named."""
        scopes = []
        for place, each in enumerate(self._ranked[: max(counts.values())]):
            wanted = [format for format in self._formats if counts.get(format, 0) > place]
            everywhere = len(wanted) == len(self._formats)
            scopes += [
                Scope(literally(each.layer), "fp32", format=format)
                for format in ([None] if everywhere else wanted)
            ]
        return replace(self._base, scopes=(*self._base.scopes, *scopes))


def literally(layer: str) -> str:
    """The pattern that matches this name alone, whatever characters it has."""
    return re.sub(r"([*?\[])", r"[\1]", layer)
