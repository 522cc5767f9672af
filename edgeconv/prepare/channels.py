"""Channels that must be scaled together: groups over a whole float graph.

Every element of every tensor gets the number of its group. A kernel founds a group
for each of its output channels; the other operators tie groups together or hand them
on, by the rules of ``targets.flow``:

    conv a ──► relu ──┬──► add ──► conv c        a's channels, b's and c's inputs
    conv b ───────────┘                          are one group for each channel

Group 0 is what must not be scaled: the model's inputs and outputs, and whatever an
operator reads that lets no factor through.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgeconv.targets.flow import Flow
from edgeconv.types import Array, Weights

__all__ = ["Channels", "Ends", "kernel_groups", "trace"]

#: A reshape beyond this many elements lets no factor through: not worth its memory.
_LARGEST_RESHAPE: Final = 1 << 24


@dataclass(frozen=True)
class Ends:
    """The groups at a kernel's two ends.

    Attributes:
        read: int64 [input channels].
        written: int64 [output channels].
    """

    read: Array
    written: Array


@dataclass(frozen=True)
class Channels:
    """The groups of a graph.

    Attributes:
        count: Of the groups; group 0 keeps its scale.
        kernels: Layer name -> groups, of the layers whose kernels may be rescaled.
        tensors: Tensor name -> int64 [channels], where each channel has one group.
    """

    count: int
    kernels: Mapping[str, Ends]
    tensors: Mapping[str, Array]


def trace(flows: Sequence[Flow], weights: Weights, outputs: Collection[str]) -> Channels:
    """Find the groups.

    Args:
        flows: In execution order.
        weights: Kernels by ``Flow.layer``.
        outputs: Names of the model's outputs.

    Returns:
        Groups in the order in which the graph founds them.
    """
    walk = _Walk(weights, Counter(flow.weight for flow in flows if flow.weight))
    for flow in flows:
        walk.step(flow)
    for name in outputs:
        walk.fix(walk.of(name, 0))
    return walk.channels(flows)


def kernel_groups(kernel: Array, ends: Ends) -> tuple[Array, Array]:
    """The group that each of a kernel's weights reads from, and the one it writes to.

    Args:
        kernel: float32 [..., I, O], depthwise [..., C, M], or [..., I/g, O].
        ends: Of that kernel.

    Returns:
        int64 twice, of shapes that broadcast against ``kernel``.
    """
    rows, columns = kernel.shape[-2:]
    if rows * columns == ends.written.size and rows == ends.read.size:  # depthwise
        return ends.read[:, np.newaxis], ends.written.reshape(rows, columns)
    groups = ends.read.size // rows
    if groups == 1:
        return ends.read[:, np.newaxis], ends.written[np.newaxis, :]
    by_output = ends.read.reshape(groups, rows).repeat(columns // groups, axis=0)
    return by_output.T, ends.written[np.newaxis, :]


class _Walk:
    """Groups under construction: a forest in which tied groups share a root.

    A tensor's groups have the rank of its shape, and length 1 along each axis on
    which they don't change.
    """

    def __init__(self, weights: Weights, uses: Mapping[str, int]) -> None:
        self._weights = weights
        self._uses = uses
        self._parents = [0]
        self._groups: dict[str, Array] = {}
        self._ends: dict[str, Ends] = {}

    def of(self, tensor: str, rank: int) -> Array:
        """The groups of a tensor; those of a model's input are fixed."""
        return self._groups.get(tensor, np.zeros((1,) * rank, np.int64))

    def step(self, flow: Flow) -> None:
        """Take in the next operator."""
        rule, made = _RULES.get(flow.rule), None
        if rule is not None:
            pairs = zip(flow.inputs, flow.shapes, strict=True)
            made = rule(self, flow, [self.of(name, len(shape)) for name, shape in pairs])
        if made is None:
            for name in flow.inputs:
                self.fix(self.of(name, 0))
        else:
            self._groups[flow.outputs[0]] = made

    def kernel(self, flow: Flow, read: list[Array]) -> Array | None:
        """A kernel: founds the groups of its output."""
        weight, bias = self._weights[flow.layer]
        channels, axis = flow.shape[flow.channel_axis], flow.channel_axis
        inputs = self._kernel_input(flow, read[0], weight)
        shared = self._uses[flow.weight] > 1
        if inputs is None or shared or not _fits(weight, bias, inputs.size, channels):
            return None
        written = np.zeros(channels, np.int64) if flow.clamped else self._found(channels)
        self._ends[flow.layer] = Ends(inputs, written)
        shape = [1] * len(flow.shape)
        shape[axis] = channels
        return written.reshape(shape)

    def _kernel_input(self, flow: Flow, groups: Array, weight: Array) -> Array | None:
        shape, axis = flow.shapes[0], flow.channel_axis
        if weight.ndim == 2 and shape[axis] != weight.shape[0]:  # flattens its input itself
            if math.prod(shape) % weight.shape[0] or math.prod(shape) > _LARGEST_RESHAPE:
                return None
            groups = np.broadcast_to(groups, shape).reshape(-1, weight.shape[0])
            shape, axis = groups.shape, -1
        others = tuple(a for a in range(len(shape)) if a != axis % len(shape))
        mixed = self._mixed(groups, others)
        return np.broadcast_to(mixed.ravel(), shape[axis : axis + 1 or None]).copy()

    def mix(self, flow: Flow, read: list[Array]) -> Array:
        """What lies along the axes is mixed: one group along them."""
        mixed = self._mixed(read[0], flow.axes)
        if mixed.ndim != len(flow.shape):  # a reduction that drops its axes
            mixed = mixed.squeeze(flow.axes)
        return mixed

    def add(self, flow: Flow, read: list[Array]) -> Array:
        """Element by element the same factor."""
        whole = np.broadcast_arrays(*[_expanded(g, len(flow.shape)) for g in read])
        for other in whole[1:]:
            self._tie(whole[0], other)
        return whole[0].copy()

    def multiply(self, flow: Flow, read: list[Array]) -> Array | None:
        """One factor may be anything, where the other is fixed."""
        a, b = (_expanded(groups, len(flow.shape)) for groups in read)
        free = [groups for groups in (a, b) if self._roots(groups).any()]
        if len(free) > 1:
            return None
        kept = free[0] if free else a
        return np.broadcast_to(kept, np.broadcast_shapes(a.shape, b.shape)).copy()

    def concat(self, flow: Flow, read: list[Array]) -> Array:
        """Side by side along one axis."""
        (axis,) = flow.axes
        lengths = [shape[axis] for shape in flow.shapes]
        others = [list(groups.shape) for groups in read]
        common = [max(lengths) for lengths in zip(*others, strict=True)]
        parts = []
        for groups, length in zip(read, lengths, strict=True):
            parts.append(np.broadcast_to(groups, [*common[:axis], length, *common[axis + 1 :]]))
        return np.concatenate(parts, axis)

    def permute(self, flow: Flow, read: list[Array]) -> Array:
        """The axes in another order."""
        return read[0].transpose(flow.axes)

    def reshape(self, flow: Flow, read: list[Array]) -> Array | None:
        """The same elements in another shape."""
        shape = flow.shapes[0]
        if math.prod(shape) != math.prod(flow.shape) or math.prod(shape) > _LARGEST_RESHAPE:
            return None
        whole = np.broadcast_to(read[0], shape).reshape(flow.shape)
        for axis in range(whole.ndim):
            first = whole.take([0], axis)
            if (whole == first).all():
                whole = first
        return whole.copy()

    def fix(self, groups: Array) -> None:
        """Let these keep their scale."""
        self._tie(groups, np.zeros_like(groups))

    def channels(self, flows: Sequence[Flow]) -> Channels:
        """What was found, with the groups numbered anew."""
        roots = np.array([self._root(group) for group in range(len(self._parents))])
        numbers = np.unique(roots, return_inverse=True)[1]
        kernels = {
            layer: Ends(numbers[ends.read], numbers[ends.written])
            for layer, ends in self._ends.items()
        }
        return Channels(int(numbers.max()) + 1, kernels, dict(self._by_channel(flows, numbers)))

    def _by_channel(self, flows: Sequence[Flow], numbers: Array) -> dict[str, Array]:
        found = {}
        for flow in flows:
            copies = flow.rule in ("permute", "reshape")
            groups = self._groups.get(flow.outputs[0]) if flow.outputs and not copies else None
            if groups is None or groups.ndim < 2:
                continue
            length = flow.shape[flow.channel_axis]
            if groups.size == groups.shape[flow.channel_axis]:
                found[flow.outputs[0]] = np.broadcast_to(numbers[groups.ravel()], length).copy()
        return found

    def _found(self, count: int) -> Array:
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def _mixed(self, groups: Array, axes: tuple[int, ...]) -> Array:
        """One group along ``axes``, which get length 1."""
        for axis in axes:
            first = groups.take([0], axis)
            if groups.shape[axis] > 1:
                self._tie(np.broadcast_to(first, groups.shape), groups)
            groups = first
        return groups

    def _tie(self, a: Array, b: Array) -> None:
        pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
        for one, other in pairs.T.tolist():
            # The smaller number wins, so that 0 stays a root.
            low, high = sorted((self._root(one), self._root(other)))
            self._parents[high] = low

    def _root(self, group: int) -> int:
        while self._parents[group] != group:
            self._parents[group] = self._parents[self._parents[group]]
            group = self._parents[group]
        return group

    def _roots(self, groups: Array) -> Array:
        return np.array([self._root(group) for group in np.unique(groups).tolist()])


def _expanded(groups: Array, rank: int) -> Array:
    """With axes of length 1 in front, as broadcasting adds them."""
    return groups.reshape((1,) * (rank - groups.ndim) + groups.shape)


def _fits(weight: Array, bias: Array | None, inputs: int, outputs: int) -> bool:
    """Whether the kernel's two last axes tell which channels its weights join."""
    rows, columns = weight.shape[-2:]
    depthwise = bool(rows == inputs and rows * columns == outputs)
    groups = inputs // rows if inputs % rows == 0 else 0
    grouped = columns == outputs and groups > 0 and outputs % groups == 0
    return (depthwise or grouped) and (bias is None or bias.size == outputs)


_RULES: Final[Mapping[str, Callable[[_Walk, Flow, list[Array]], Array | None]]] = {
    "kernel": _Walk.kernel,
    "mix": _Walk.mix,
    "sum": _Walk.add,
    "product": _Walk.multiply,
    "concat": _Walk.concat,
    "permute": _Walk.permute,
    "reshape": _Walk.reshape,
}
