"""Hand what was trained in TFLite to a graph of either format.

kernel    where the graph's own is the one that training began with
bias      moved by as much as in training: formats fold different constants into it (the 3
          of a hard sigmoid)
range     of the tensor of the same Keras layer that held the same, or a multiple of it
          (before the 1/6 of a hard-swish); else of any that held the same
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.qat.teach import Taught
from edgeconv.types import Array, Ranges, TensorRange, Weights

__all__ = ["transfer_ranges", "transfer_weights"]

#: Kernels of two formats are the same where they differ by no more steps of 1/127.
_ALIKE: Final = 2.0
#: And what two tensors were seen to hold, of its width.
_SAME: Final = 1e-3

#: What tensors were seen to hold, and their Keras layers.
Seen = tuple[Ranges, Mapping[str, str]]


def transfer_weights(taught: Taught, weights: Weights) -> Weights:
    """The trained weights for a prepared graph.

    Args:
        taught: By layer.
        weights: The graph's own.

    Raises:
        Unsupported: No layer has the kernel that was trained.
    """
    found: dict[str, tuple[Array, Array | None]] = {}
    for name, (kernel, bias) in taught.end.items():
        own, own_bias = weights.get(name, (None, None))
        old, old_bias = taught.begin[name]
        if own is None or not _alike(own, old):
            continue
        if bias is not None and old_bias is not None and own_bias is not None:
            own_bias = own_bias + (bias - old_bias)
        found[name] = kernel, own_bias
    if taught.end and not found:
        raise Unsupported(
            "No layer of this format has the kernels that were trained.",
            "Export with --format tflite, or leave --qat out.",
        )
    return found


def _alike(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    axes = tuple(range(one.ndim - 1))
    step = np.abs(other).max(axis=axes) / 127
    return bool((np.abs(one - other).max(axis=axes) <= _ALIKE * step).all())


def transfer_ranges(taught: Taught, ranges: Ranges, seen: Seen, seen_in_tflite: Seen) -> Ranges:
    """The ranges of a graph, with those that were learned.

    Args:
        taught: Its ``ranges``, by TFLite tensor.
        ranges: Of the graph, clipped.
        seen: True ranges of the graph's tensors.
        seen_in_tflite: The same of the TFLite graph.
    """
    found = dict(ranges)
    for name in ranges.keys() & seen[0].keys():
        match = _match(name, taught, seen, seen_in_tflite)
        if match is not None:
            learned, ratio = taught.ranges[match[0]], match[1]
            found[name] = replace(ranges[name], low=ratio * learned.low, high=ratio * learned.high)
    return found


def _match(name: str, taught: Taught, seen: Seen, seen_in_tflite: Seen) -> tuple[str, float] | None:
    """The TFLite tensor that ``name`` is, and what it is a multiple by."""
    if name in taught.ranges:
        return name, 1.0
    own, layer = seen[0][name], seen[1].get(name)
    others, layers = seen_in_tflite
    known = [other for other in taught.ranges if other in others]
    alike = [(other, _ratio(own, others[other])) for other in known if layers.get(other) == layer]
    near = [(other, ratio) for other, ratio in alike if ratio is not None]
    same = [other for other in known if _is_same(own, others[other])]
    if len(near) == 1:
        return near[0]
    if same and len({taught.ranges[other].high / others[other].high for other in same}) == 1:
        return same[0], 1.0
    return None


def _is_same(one: TensorRange, other: TensorRange) -> bool:
    apart = abs(one.low - other.low) + abs(one.high - other.high)
    return apart <= _SAME * (other.high - other.low)


def _ratio(one: TensorRange, other: TensorRange) -> float | None:
    """How many times ``other`` it is, where it is the same at both ends."""
    if _is_same(one, other):
        return 1.0
    if not (one.low < 0 < one.high and other.low < 0 < other.high):
        return None
    low, high = one.low / other.low, one.high / other.high
    return high if math.isclose(low, high, rel_tol=_SAME) else None
