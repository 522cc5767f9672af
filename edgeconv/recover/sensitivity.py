"""Which layers lose most, by quantizing few at a time.

    alone(L)     error of the output where only L is quantized
    without(L)   error where everything but L is

Both are error power over signal power of the first output. Errors of different layers hardly
correlate, so their powers add: a block of layers loses at least as much as the worst
of its layers. A model with more layers than there may be trials is therefore asked block by
block, and the worst block is halved until it is one layer.

In float a layer costs memory for its weights and time of its own; ``cost`` says how much. The
order is that of error for cost, so that a head of half the weights waits for layers of few.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

__all__ = ["Sensitivity", "decibels", "most_sensitive"]

#: Error of the output with these layers alone quantized, or alone left in float.
Ask = Callable[[Sequence[str]], float]
#: What a layer in float costs; above 0.
Cost = Callable[[str], float]


@dataclass(frozen=True)
class Sensitivity:
    """What a layer costs the output.

    Attributes:
        layer: Keras name.
        alone: Error power over signal power where it alone is quantized.
        without: The same where it alone is not; None where that wasn't tried.
        block: How many neighbours, it among them, ``alone`` was asked of together.
    """

    layer: str
    alone: float
    without: float | None = None
    block: int = 1


def most_sensitive(
    layers: Sequence[str], alone: Ask, without: Ask, cost: Cost, trials: int, confirmed: int
) -> list[Sensitivity]:
    """The layers by what they lose for what they cost, worst first.

    Args:
        layers: Keras names in execution order.
        alone: Quantizes these alone.
        without: Quantizes all but these.
        cost: Of a layer in float.
        trials: How often ``alone`` may be asked.
        confirmed: How many of the worst are asked ``without`` too, and ordered by it:
            what the output gains is what keeping them in float buys.

    Returns:
        Every layer; each asked on its own, where there are no more than ``trials``.
    """
    ranked: list[Sensitivity] = []
    blocks = _asked(layers, alone, trials)
    for block, loss in sorted(blocks, key=lambda each: -each[1] / sum(map(cost, each[0]))):
        ranked += (Sensitivity(name, loss, block=len(block)) for name in block)
    every = without([]) if layers and confirmed else 0.0
    first = [replace(each, without=without([each.layer])) for each in ranked[:confirmed]]

    def gain(each: Sensitivity) -> float:
        left = each.without or 0.0
        return 0.0 if left >= every else (every - left) / cost(each.layer)

    first.sort(key=gain, reverse=True)
    return first + ranked[confirmed:]


def decibels(ratio: float | None) -> float | None:
    """SQNR in dB of an error over its signal; None where there is no error, or no number."""
    if ratio is None or not 0.0 < ratio < math.inf:
        return None
    return -10.0 * math.log10(ratio)


def _asked(layers: Sequence[str], ask: Ask, trials: int) -> list[tuple[Sequence[str], float]]:
    """Blocks and their losses: the worst is halved, as long as one may ask."""
    blocks = _blocks(layers, len(layers) if len(layers) <= trials else max(1, trials // 2))
    heap = [(-ask(block), at, block) for at, block in enumerate(blocks)]
    single = []
    asked = count = len(heap)
    heapq.heapify(heap)
    while heap and asked + 2 <= trials:
        worst = heapq.heappop(heap)
        if len(worst[2]) == 1:
            single.append(worst)
            continue
        for half in _blocks(worst[2], 2):
            heapq.heappush(heap, (-ask(half), count, half))
            count += 1
        asked += 2
    return [(block, -loss) for loss, _, block in (*single, *heap)]


def _blocks(layers: Sequence[str], count: int) -> list[Sequence[str]]:
    """``count`` runs of neighbours, as even as can be."""
    size = len(layers)
    ends = [at * size // count for at in range(count + 1)] if size else []
    return [layers[a:b] for a, b in pairwise(ends) if b > a]
