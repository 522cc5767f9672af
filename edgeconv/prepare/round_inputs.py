"""What layers read, summed up: means and second moments of the values behind an output.

    x[n] = the K values that the outputs at one position of one item are products of
    G    = sum over n of (x[n] - m) (x[n] - m)' / N,    m = the mean of x

A convolution's x is what lies under its kernel, [taps, channels]; depthwise and grouped
ones have a G for each group. Positions are sampled: neighbours tell much the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from edgeconv.types import Array, Window

__all__ = ["Moments", "patches"]

#: Rows that are gathered before they are multiplied; BLAS is slow on few.
_GATHERED: Final = 256


class Moments:
    """Sums over positions, item by item.

    Args:
        groups: Of the layer's channels.
        length: K, the values that an output is a product of.

    Attributes:
        count: Rows that are in the sums.
    """

    def __init__(self, groups: int, length: int) -> None:
        self.groups, self.length = groups, length
        self.count = 0
        # Near the mean, so that a mean far from zero leaves the deviations their bits.
        self._origin: Array | None = None
        self._sums = np.zeros((groups, 1, length), np.float64)
        self._products = np.zeros((groups, length, length), np.float32)
        self._rows: list[Array] = []

    def update(self, rows: Array) -> None:
        """Take in float32 [N, groups, K]."""
        self._rows.append(rows)
        if sum(len(each) for each in self._rows) >= _GATHERED:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            rows = np.concatenate(self._rows).transpose(1, 0, 2)
            if self._origin is None:
                self._origin = rows.mean(axis=1, keepdims=True)
            rows = rows - self._origin
            self.count += rows.shape[1]
            self._sums += rows.sum(axis=1, keepdims=True, dtype=np.float64)
            self._products += rows.transpose(0, 2, 1) @ rows
            self._rows = []

    def gram(self, *, centred: bool) -> Array:
        """G, float32 [groups, K, K]; of x itself where not ``centred``. Uses up the sums."""
        self._flush()
        gram = self._products
        gram /= np.float32(self.count)
        mean = (self._sums / self.count).astype(np.float32)
        gram -= mean.transpose(0, 2, 1) * mean
        if not centred and self._origin is not None:
            mean += self._origin
            gram += mean.transpose(0, 2, 1) * mean
        return gram


def patches(
    x: Array, kernel_shape: Sequence[int], window: Window | None, number: int, most: int
) -> Array:
    """Some of what the outputs of a layer are products of.

    Args:
        x: float32, what the layer reads of one item, batch axis first.
        kernel_shape: Of the Keras kernel: [*taps, I, O].
        window: None for dense layers.
        number: Of the item, so that not every item is asked at the same positions.
        most: About so many positions.

    Returns:
        float32 [N, groups, K], K in the order of the kernel's values.
    """
    if window is None:
        rows = x.reshape(-1, 1, kernel_shape[0])
        return rows[_spread(len(rows), number, most)]
    taps = tuple(kernel_shape[:-2])
    x = np.moveaxis(x, window.channel_axis, -1)[0]
    pads, outputs = _slide(x.shape[:-1], taps, window)
    places = np.unravel_index(_spread(math.prod(outputs), number, most), outputs)
    starts = [
        place * stride - pad
        for place, stride, pad in zip(places, window.strides, pads, strict=True)
    ]
    found = np.stack([_under(x, starts, at, window) for at in np.ndindex(*taps)], axis=1)
    grouped = found.reshape(len(found), len(found[0]), window.groups, -1)
    return grouped.transpose(0, 2, 1, 3).reshape(len(found), window.groups, -1)


def _spread(total: int, number: int, most: int) -> Array:
    step = max(1, total // most)
    # An even step would meet the same columns of a picture in every row.
    step -= step % 2 == 0
    return np.arange(number % step, total, step)


def _under(x: Array, starts: Sequence[Array], at: tuple[int, ...], window: Window) -> Array:
    """float32 [N, C]: what lies under one tap of the kernel, zeros outside of ``x``."""
    inside = np.ones(len(starts[0]), bool)
    index = []
    for start, tap, dilation, size in zip(starts, at, window.dilations, x.shape, strict=False):
        place = start + tap * dilation
        inside &= (place >= 0) & (place < size)
        index.append(np.clip(place, 0, size - 1))
    found: Array = x[tuple(index)]
    found[~inside] = 0
    return found


def _slide(
    sizes: Sequence[int], taps: Sequence[int], window: Window
) -> tuple[list[int], list[int]]:
    """Zeros before each axis, and how many outputs it has."""
    pads, outputs = [], []
    for axis, (size, tap) in enumerate(zip(sizes, taps, strict=True)):
        stride, reach = window.strides[axis], (tap - 1) * window.dilations[axis] + 1
        if window.pads is None:
            outputs.append(math.ceil(size / stride))
            pads.append(max(0, (outputs[-1] - 1) * stride + reach - size) // 2)
        else:
            before, behind = window.pads[axis], window.pads[axis + len(taps)]
            outputs.append((size + before + behind - reach) // stride + 1)
            pads.append(before)
    return pads, outputs
