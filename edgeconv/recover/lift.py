"""Lift: the most sensitive layers stay in float, as few as hold the gate.

Where no number of them holds it, as many as are worth their bytes: the loss times the size of
the file is smallest, so that half the error may cost no more than twice the memory.

Which, is asked of the first format on a few items; how many, of each format on all that was
held back, since the two formats round differently. A layer that one format alone needs
gets a scope of that format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from edgeconv.recover.account import Workbench
from edgeconv.recover.sensitivity import Sensitivity, most_sensitive
from edgeconv.recover.trial import Glance, Score
from edgeconv.types import Format, Recipe, Scope

__all__ = ["Lift", "between", "chosen", "literally"]

#: Of the worst, how many are looked at the other way round too.
_CONFIRMED: Final = 8
#: A model with more of its layers in float is no int8 model any more.
_LARGEST_SHARE: Final = 0.5
#: Of loss times size, as a natural logarithm: float layers that gain less aren't worth it.
_WORTH: Final = 0.1


class Lift:
    """The layers of one model, and how a recipe keeps some of them in float.

    Args:
        bench: Its layers, formats and number of glances.
        glance: Error power over signal power of a recipe.
        base: The best recipe so far.
    """

    def __init__(self, bench: Workbench, glance: Glance, base: Recipe) -> None:
        self._layers, self._formats = bench.layers, bench.formats
        self._cost = _cost(bench.weights(), len(bench.layers))
        self._glances, self._glance, self._base = bench.glances, glance, base
        self._ranked: list[Sensitivity] = []

    def rank(self) -> list[Sensitivity]:
        """The layers by what they lose for what they cost, worst first."""
        base = self._base
        ranges = tuple(replace(s, precision=None) for s in base.scopes if s.calibrator)

        def alone(names: Sequence[str]) -> float:
            scopes = tuple(Scope(literally(name), "int8") for name in names)
            return self._glance(replace(base, precision="fp32", scopes=(*ranges, *scopes)))

        def without(names: Sequence[str]) -> float:
            scopes = tuple(Scope(literally(name), "fp32") for name in names)
            return self._glance(replace(base, scopes=(*base.scopes, *scopes)))

        self._ranked = most_sensitive(
            self._layers, alone, without, self._cost, self._glances, _CONFIRMED
        )
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


def _cost(weights: Mapping[str, int], layers: int) -> Callable[[str], float]:
    """The share of the layers and the share of the weights that a layer has: time and memory."""
    most = sum(weights.values()) or 1
    return lambda layer: 1 / layers + weights.get(layer, 0) / most


def chosen(tried: Mapping[int, Score]) -> int:
    """The fewest layers in float that hold the gate; else those that come nearest for their bytes.

    Args:
        tried: By the number of layers; that of 0, too.

    Returns:
        0 where none is worth it.
    """

    def cost(count: int) -> float:
        score = tried[count]
        size = math.log(score.artifact.size_bytes)
        return math.log(max(score.loss, 1e-9)) + size + (_WORTH if count else 0.0)

    holding = [count for count, score in tried.items() if score.stands]
    allowed = [count for count, score in tried.items() if not count or not score.exceeds]
    return min(holding) if holding else min(allowed, key=cost)


def between(tried: Collection[int], best: int) -> int | None:
    """The middle of the wider gap beside the best number; None where all there was tried."""
    below = max((n for n in tried if n < best), default=best)
    above = min((n for n in tried if n > best), default=best)
    low, high = max((below, best), (best, above), key=lambda gap: gap[1] - gap[0])
    return (low + high) // 2 if high - low > 1 else None


def literally(layer: str) -> str:
    """The pattern that matches this name alone, whatever characters it has."""
    return re.sub(r"([*?\[])", r"[\1]", layer)
