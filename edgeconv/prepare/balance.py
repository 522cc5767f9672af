"""Balance: how unlike the channels of a graph are, in what they hold and in what reads them.

For channel c of a group, with tensors T and kernels W that read it:

    a(c) = max over T                of  max |x_c|   /  max over the channels of T
    w(c) = max over W and outputs o  of  |W[c, o]|   /  max over the channels of W[:, o]

Rounding x and W to steps of their largest values makes, at output o, a noise power of

    J(o) ~ max_c |x_c|^2  sum_c W[c, o]^2  +  max_c W[c, o]^2  sum_c |x_c|^2

which is least where large weights don't meet small activations: a(c) = w(c).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np

from edgeconv.prepare.channels import Channels, Ends, kernel_groups
from edgeconv.types import Array, Ranges, Weights

__all__ = ["ALIVE", "LEAST", "Balance"]

#: What is smaller than this beside the largest channel has less than two of 127 steps:
#: it is lifted to them and no further, so that a dead channel ends somewhere.
LEAST: Final = 1 / 64
#: A channel that reaches less beside the largest of its tensor is dead: it says nothing
#: that 8 bits could tell, however it is scaled. Factors of 1/32 to 32 leave the living alive.
ALIVE: Final = 2.0**-16
#: Weights that are looked at in one go.
_BLOCK: Final = 1 << 22
#: The base of decibels, against the natural logarithm.
_DECIBELS: Final = 10.0 / np.log(10.0)


class _Block(NamedTuple):
    """Some outputs of one kernel.

    Attributes:
        read: int64 [I, 1], or [I, O] where outputs read different groups.
        largest: float32 [I, O], the largest weight of each pair over the kernel's positions.
        apart: Every output reads one channel alone (depthwise).
    """

    read: Array
    largest: Array
    apart: bool


class Balance:
    """Of one graph, as it would be with factors on its channels.

    Args:
        channels: The groups.
        weights: As they are.
        ranges: As they are; a tensor without its channels' extremes doesn't count.
    """

    def __init__(self, channels: Channels, weights: Weights, ranges: Ranges) -> None:
        self._count = channels.count
        self._tensors = list(_reached(channels.tensors, ranges))
        self._kernels = {
            layer: list(_blocks(weights[layer][0], ends))
            for layer, ends in channels.kernels.items()
            if ends.read.any()
        }
        self._most = np.zeros(self._count)
        reached = np.zeros(self._count)
        for groups, most in self._tensors:
            np.maximum.at(self._most, groups, most)
            np.maximum.at(reached, groups, most / max(most.max(), np.finfo(float).tiny))
        self._alive = reached > ALIVE
        self.components = self._joined()

    def activations(self, logs: Array) -> Array:
        """Logarithm of a(c) of each group, whose factors have the logarithms ``logs``."""
        found = np.full(self._count, LEAST)
        for groups, most in self._tensors:
            scaled = most * np.exp(logs[groups])
            np.maximum.at(found, groups, scaled / max(scaled.max(), np.finfo(float).tiny))
        logged: Array = np.log(found)
        return logged

    def weights(self, logs: Array) -> Array:
        """Logarithm of w(c) of each group."""
        found = np.full(self._count, LEAST)
        for block in self._all_blocks():
            scaled = block.largest * np.exp(-logs[block.read])
            most = scaled.max(axis=0, keepdims=True)
            if block.apart:  # each is the largest of its output; a dead one is to end somewhere
                most = np.where(self._alive[block.read], scaled, np.inf)
            share = np.divide(scaled, most, out=np.zeros_like(scaled), where=most > 0)
            if block.read.shape[1] == 1:
                share = share.max(axis=1, keepdims=True)
            np.maximum.at(found, block.read, share)
        logged: Array = np.log(found)
        return logged

    def gain_db(self, logs: Array) -> Array:
        """What the factors take from the noise, of each group's component.

        Returns:
            float64 [groups]: the mean over outputs of J before / J after, of the kernel
            that gains most.
        """
        gains = np.zeros(self._count)
        for blocks in self._kernels.values():
            before = np.concatenate([self._noise(b, np.zeros(self._count)) for b in blocks])
            after = np.concatenate([self._noise(b, logs) for b in blocks])
            alive = (before > 0) & (after > 0)
            if alive.any():
                gain = _DECIBELS * float(np.log(before[alive] / after[alive]).mean())
                component = self.components[blocks[0].read].max()
                gains[component] = max(gains[component], gain)
        by_group: Array = gains[self.components]
        return by_group

    def _noise(self, block: _Block, logs: Array) -> Array:
        """J of each output."""
        weights = block.largest * np.exp(-logs[block.read])
        reached = self._most[block.read] * np.exp(logs[block.read])
        if block.apart:
            alone: Array = np.square(reached.max() * weights) * self._alive[block.read]
            return alone.ravel()
        squares, spread = np.square(weights, out=weights), np.square(reached)
        of_x: Array = spread.max(axis=0) * squares.sum(axis=0)
        of_w: Array = squares.max(axis=0) * spread.sum(axis=0)
        return of_x + of_w

    def _all_blocks(self) -> Iterator[_Block]:
        return (block for blocks in self._kernels.values() for block in blocks)

    def _joined(self) -> Array:
        """int64 [groups]: the largest group of those that share a tensor or a kernel with it."""
        sets = [groups for groups, _ in self._tensors]
        sets += [np.unique(block.read) for block in self._all_blocks()]
        sets = [groups[groups > 0] for groups in sets]
        found: Array = np.arange(self._count)
        before: Array = np.zeros(0)
        while not np.array_equal(found, before):
            before = found.copy()
            for groups in sets:
                found[groups] = found[groups].max(initial=0)
        return found


def _reached(tensors: Mapping[str, Array], ranges: Ranges) -> Iterator[tuple[Array, Array]]:
    """(groups, max |x|) of the channels of each tensor."""
    for name, groups in tensors.items():
        seen = ranges.get(name)
        if seen is None or seen.lows is None or seen.highs is None or not groups.any():
            continue
        if seen.lows.size == groups.size:
            yield groups, np.maximum(np.abs(seen.lows), np.abs(seen.highs)).astype(np.float64)


def _blocks(kernel: Array, ends: Ends) -> Iterator[_Block]:
    """A kernel in parts of whole outputs."""
    read, written = kernel_groups(kernel, ends)
    largest = np.abs(kernel).reshape(-1, *kernel.shape[-2:]).max(axis=0)
    if written.shape[0] > 1:
        yield _Block(read, largest, apart=True)
        return
    rows, columns = largest.shape
    step = max(1, _BLOCK // rows)
    for start in range(0, columns, step):
        part = slice(start, start + step)
        yield _Block(read if read.shape[1] == 1 else read[:, part], largest[:, part], apart=False)
