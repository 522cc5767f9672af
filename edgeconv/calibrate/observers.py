"""Observer: what one activation tensor holds over a calibration set, in constant memory.

The minimum and maximum are the true ones. A moving average of each batch's
extremes, which ai-edge-quantizer keeps, forgets rare large values: it clips logits.

    width(edge)   = 2 * edge / bins,    edge = 2^k > max |x|
    bin(x)        = floor(x * bins / (2 * edge)) + bins / 2
    merge to 2e:    bin' = (bin + bins / 2) // 2

Scaling a float by a power of two is exact, so the order of the items changes no
count. A histogram is of an evenly spread sample of each item's values: counting
all of MobileNetV2's 52 MB an image would take ten times as long as running it.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import replace

import numpy as np

from edgeconv.errors import RefusedInput
from edgeconv.types import Array, TensorRange

__all__ = ["HISTOGRAM_BINS", "Observer", "extremes", "grow_histogram"]

#: As many as onnxruntime's histogram calibrators use for the entropy search.
HISTOGRAM_BINS = 2048

#: Items whose extremes are kept, those that reach furthest; 2% of 3,000.
ODD_ITEMS = 64

#: Values counted an item. 100 items give 400,000 of a tensor, so that a percentile
#: of 99.99 rests on 40 of them.
_SAMPLE = 4096

#: Positions an item that a channel's mean is taken over: a mean over 100 items of
#: 256 is known to 1% of the channel's spread.
_POSITIONS = 256

#: A tensor of zeros alone needs some edge; the smallest normal float32.
_SMALLEST_EXPONENT = -126


class Observer:
    """Statistics of one tensor, updated batch by batch.

    Args:
        label: What a person calls the tensor, for messages.
        bins: Of the histogram, even; 0 keeps the minimum and maximum alone.
        channel_axis: Of which means are kept, in a tensor of two axes or more.
    """

    def __init__(self, label: str, bins: int = 0, channel_axis: int = -1) -> None:
        self._label = label
        self._channel_axis = channel_axis
        self._sums: Array | None = None
        self._summed = 0
        self._lows: Array | None = None
        self._highs: Array | None = None
        self._low = np.inf
        self._high = -np.inf
        self._exponent = _SMALLEST_EXPONENT
        self._counts = np.zeros(bins, np.int64)
        # Heaps whose first entry is the least far of those that are kept.
        self._depths: list[float] = []
        self._heights: list[float] = []
        self._items = 0

    def update(self, x: Array) -> None:
        """Take in ``x``: float, any shape, one item or several at once.

        Raises:
            RefusedInput: ``x`` holds NaN or infinity.
        """
        if x.size == 0:
            return
        lows, highs = extremes(x, self._channel_axis)
        # Both propagate NaN, so no further pass is needed to find one.
        low, high = float(lows.min()), float(highs.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise RefusedInput(
                f"The model computes NaN or infinity at {self._label} on the calibration data.",
                "Check the model's weights and the preprocessing of the data.",
            )
        self._low = min(self._low, low)
        self._high = max(self._high, high)
        self._items += 1
        _keep(self._depths, -low)
        _keep(self._heights, high)
        if self._counts.size:
            self._count(_spread(x))
        if x.ndim > 1:
            self._sum(x)
            self._lows = lows if self._lows is None else np.minimum(self._lows, lows)
            self._highs = highs if self._highs is None else np.maximum(self._highs, highs)

    def _count(self, x: Array) -> None:
        largest = max(-self._low, self._high)
        exponent = int(np.frexp(largest)[1])
        if largest > 0 and exponent > self._exponent:
            self._counts = grow_histogram(self._counts, exponent - self._exponent)
            self._exponent = exponent
        bins = self._counts.size
        index = x.ravel() * np.float64(2.0**-self._exponent * (bins // 2))
        found = np.floor(index).astype(np.int64) + bins // 2
        self._counts += np.bincount(found, minlength=bins)

    def _sum(self, x: Array) -> None:
        axis = self._channel_axis % x.ndim
        channels = x.shape[axis]
        lead, trail = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
        columns = x.reshape(lead, channels, trail)
        step = max(1, lead * trail // _POSITIONS)
        # An even step would meet the same columns of a picture in every row.
        step -= step % 2 == 0
        some = columns[::step] if trail == 1 else columns[:, :, ::step]
        sums = some.sum(axis=(0, 2), dtype=np.float64)
        self._sums = sums if self._sums is None else self._sums + sums
        self._summed += some.shape[0] * some.shape[2]

    def range(self) -> TensorRange:
        """What was seen so far.

        Raises:
            RefusedInput: Nothing was.
        """
        if self._low > self._high:
            raise RefusedInput(
                f"No calibration data reached {self._label}.", "Give at least one item."
            )
        mean = None if self._sums is None else self._sums / self._summed
        seen = TensorRange(
            self._low,
            self._high,
            mean=mean,
            lows=self._lows,
            highs=self._highs,
            item_lows=-np.sort(self._depths)[::-1],
            item_highs=np.sort(self._heights)[::-1],
            items=self._items,
        )
        if not self._counts.size:
            return seen
        edge = float(np.ldexp(1.0, self._exponent))
        return replace(seen, counts=self._counts.copy(), edge=edge)


def _keep(heap: list[float], value: float) -> None:
    """Take ``value`` in where it is among the largest ``ODD_ITEMS``."""
    if len(heap) < ODD_ITEMS:
        heapq.heappush(heap, value)
    else:
        heapq.heappushpop(heap, value)


def extremes(x: Array, axis: int) -> tuple[Array, Array]:
    """The minimum and maximum of each channel, in one pass over ``x`` each.

    Args:
        x: Float, any shape.
        axis: Of the channels; ignored where ``x`` has less than two axes.

    Returns:
        Two arrays [channels]; NaN where a channel holds one.
    """
    if x.ndim < 2:
        return x.min(keepdims=True).ravel(), x.max(keepdims=True).ravel()
    axis %= x.ndim
    channels, trail = x.shape[axis], math.prod(x.shape[axis + 1 :])
    if trail > 1:
        rows = x.reshape(-1, channels, trail)
        return rows.min(axis=2).min(axis=0), rows.max(axis=2).max(axis=0)
    # Short rows reduce slowly, so that several are taken for one.
    positions = x.size // channels
    wide = next((n for n in (64, 32, 16, 8, 4, 2) if positions % n == 0), 1)
    wider = x.reshape(positions // wide, wide * channels)
    lows, highs = (f(axis=0).reshape(wide, channels) for f in (wider.min, wider.max))
    return lows.min(axis=0), highs.max(axis=0)


def _spread(x: Array) -> Array:
    """At least ``_SAMPLE`` values of ``x`` (all, where it has fewer), from every channel."""
    step = max(1, x.size // _SAMPLE)
    # A step that shares a factor with the channels would skip some of them.
    while math.gcd(step, x.shape[-1] if x.ndim else 1) > 1:
        step -= 1
    return x.ravel()[::step]


def grow_histogram(counts: Array, doublings: int) -> Array:
    """A histogram over [-edge, edge) as one over [-edge * 2^doublings, ...).

    Args:
        counts: int64 [bins], bins even.
        doublings: How many times the edge doubles.

    Returns:
        int64 [bins] with the same sum.
    """
    bins = counts.size
    for _ in range(doublings):
        grown = np.zeros_like(counts)
        np.add.at(grown, (np.arange(bins) + bins // 2) // 2, counts)
        if np.array_equal(grown, counts):  # all is in the bins around zero by now
            break
        counts = grown
    return counts
