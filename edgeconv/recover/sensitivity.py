"""Which layers lose most, by quantizing few at a time.

    alone(L)     error of the output where only L is quantized
    without(L)   error where everything but L is

Both are error power over signal power of the first output. Errors of different layers hardly
correlate, so their powers add: a block of layers loses at least as much as the worst
of its layers. A model with more layers than there may be trials is therefore asked block by
block, and the worst block is halved until it is one layer.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Sensitivity", "decibels", "most_sensitive"]

#: Error of the output with these layers alone quantized, or alone left in float.
Ask = Callable[[Sequence[str]], float]


@dataclass(frozen=True)
class Sensitivity:
    """What a layer costs the output.

    Attributes:
        layer: Keras name.
        alone: Error power over signal power where it alone is quantized.
        without: The same where it alone is not; None where that wasn't tried.
    """

    layer: str
    alone: float
    without: float | None = None


def most_sensitive(
    layers: Sequence[str], alone: Ask, without: Ask, trials: int, confirmed: int
) -> list[Sensitivity]:
    """The layers that lose most, worst first.

    Args:
        layers: Keras names in execution order.
        alone: Quantizes these alone.
        without: Quantizes all but these.
        trials: How often ``alone`` may be asked.
        confirmed: How many of the worst are asked ``without`` too, and ordered by it:
            what the output gains is what keeping them in float buys.

    Returns:
        As many as could be told; every layer, where there are no more than ``trials``.
    """
    ranked = [Sensitivity(name, loss) for name, loss in _worst_first(layers, alone, trials)]
    asked = [
        Sensitivity(each.layer, each.alone, without([each.layer])) for each in ranked[:confirmed]
    ]
    asked.sort(key=lambda each: (each.without, -each.alone))
    return asked + ranked[confirmed:]


def decibels(ratio: float | None) -> float | None:
    """SQNR in dB of an error over its signal; None where there is no error, or no number."""
    if ratio is None or not 0.0 < ratio < math.inf:
        return None
    return -10.0 * math.log10(ratio)


def _worst_first(layers: Sequence[str], ask: Ask, trials: int) -> Iterator[tuple[str, float]]:
    """Best-first: always halve the block that loses most; a single layer is told."""
    blocks = _blocks(layers, len(layers) if len(layers) <= trials else max(1, trials // 2))
    heap = [(-ask(block), at, block) for at, block in enumerate(blocks)]
    asked = count = len(heap)
    heapq.heapify(heap)
    while heap:
        loss, _, block = heapq.heappop(heap)
        if len(block) == 1:
            yield block[0], -loss
            continue
        if asked + 2 > trials:
            return
        for half in _blocks(block, 2):
            heapq.heappush(heap, (-ask(half), count, half))
            count += 1
        asked += 2


def _blocks(layers: Sequence[str], count: int) -> list[Sequence[str]]:
    """``count`` runs of neighbours, as even as can be."""
    size = len(layers)
    ends = [at * size // count for at in range(count + 1)] if size else []
    return [layers[a:b] for a, b in pairwise(ends) if b > a]
