"""AveragePool(x)  ->  Conv(x, 1/n, group = C)  [-> Mul by n / count]

onnxruntime's integer pool takes 7 ns a number, its depthwise convolution 1 (AVX512, one
thread): 40 pools were 4.9 of the 22.7 ms of an int8 NASNetMobile, whose float form took
16.2. Where padding is not counted, a window at the border sums fewer than n numbers; the
product mends that. Its constant [1, 1, H, W] is of integers: 3 x 3 has 9/9, 9/6 and 9/4,
which are 4, 6 and 9 times 1/4, so that within the border nothing is rounded twice.

The quantizer gives an AveragePool the same steps on both sides. An average over a whole
picture is far smaller than the largest value in it (MLPerf Tiny's ResNet8: 49 of 255 steps,
half of the noise in its logits). GlobalAveragePool takes its place: it has steps of its own.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from edgeconv.targets.onnx.model import Model, Node, fresh_name, replace_nodes, set_constant
from edgeconv.types import Array, Ranges, TensorRange

__all__ = ["averages_by_convolutions"]

#: A larger window is as good as a global one, and its kernel would swell the file.
_MOST_VALUES: Final = 16
_HIGHEST: Final = 255

Overrides = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class _Pool:
    """An AveragePool in numbers; pads as in ONNX: top, left, bottom, right."""

    node: Node
    channels: int
    size: tuple[int, int]
    window: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    counts_padding: bool

    @property
    def values(self) -> int:
        return self.window[0] * self.window[1]

    @property
    def is_whole(self) -> bool:
        """Whether one window without padding is the whole picture."""
        return self.size == self.window and not any(self.pads)

    def counts(self) -> Array:
        """How many numbers of x each window holds, int64 [H, W]."""
        if self.counts_padding:
            return np.full((1, 1), self.values)
        return np.outer(self._along(0), self._along(1))

    def _along(self, axis: int) -> Array:
        size, window, stride = self.size[axis], self.window[axis], self.strides[axis]
        before, after = self.pads[axis], self.pads[axis + 2]
        starts = np.arange(0, size + before + after - window + 1, stride) - before
        return np.minimum(starts + window, size) - np.maximum(starts, 0)


def averages_by_convolutions(
    model: Model, ranges: Ranges, excluded: Collection[str]
) -> tuple[Ranges, Overrides]:
    """Rewrite pools of ``model``, in place.

    Args:
        model: Float, with the shapes of all tensors.
        ranges: Of its activations.
        excluded: Names of nodes that stay in float.

    Returns:
        The ranges with those of new tensors, and the quantizer's TensorQuantOverrides.
    """
    shapes = _shapes(model)
    taken = {name for node in model.graph.node for name in (node.name, *node.output)}
    taken |= {tensor.name for tensor in model.graph.initializer}
    found, overrides, made = dict(ranges), Overrides(), []
    for node in model.graph.node:
        wanted = node.op_type == "AveragePool" and node.name not in excluded
        pool = _read(node, shapes) if wanted else None
        if pool is None or pool.is_whole:
            made.append(node if pool is None else _whole(pool))
            continue
        made += _convolution(model, pool, found, overrides, taken)
    replace_nodes(model, made)
    return found, overrides


def _shapes(model: Model) -> Mapping[str, list[int | None]]:
    graph = model.graph
    return {
        value.name: [
            d.dim_value if d.HasField("dim_value") else None
            for d in value.type.tensor_type.shape.dim
        ]
        for value in (*graph.input, *graph.value_info)
    }


def _read(node: Node, shapes: Mapping[str, list[int | None]]) -> _Pool | None:
    """The pool, where it is of two axes of known size and of a small window."""
    attributes = {a.name: list(a.ints) or a.s or a.i for a in node.attribute}
    shape, window = shapes.get(node.input[0], []), attributes.get("kernel_shape", [])
    plain = attributes.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID", b"SAME_UPPER")
    if len(shape) != 4 or None in shape[1:] or len(window) != 2 or not plain:
        return None
    if attributes.get("ceil_mode", 0):
        return None
    channels, height, width = (int(n or 0) for n in shape[1:])
    size = (height, width)
    strides = attributes.get("strides") or [1, 1]
    pads = attributes.get("pads") or [0, 0, 0, 0]
    if attributes.get("auto_pad") == b"SAME_UPPER":
        pads = _same_upper(size, window, strides)
    counted = bool(attributes.get("count_include_pad", 0))
    pool = _Pool(node, channels, size, tuple(window), tuple(strides), tuple(pads), counted)
    small = pool.values <= _MOST_VALUES and _lcm(pool.counts()) <= _HIGHEST
    return pool if small or pool.is_whole else None


def _same_upper(size: Sequence[int], window: Sequence[int], strides: Sequence[int]) -> list[int]:
    sums = [
        max((-(-n // stride) - 1) * stride + length - n, 0)
        for n, length, stride in zip(size, window, strides, strict=True)
    ]
    return [*(n // 2 for n in sums), *(n - n // 2 for n in sums)]


def _whole(pool: _Pool) -> Node:
    from onnx import helper

    node = pool.node
    return helper.make_node("GlobalAveragePool", node.input, node.output, name=node.name)


def _convolution(
    model: Model,
    pool: _Pool,
    ranges: dict[str, TensorRange],
    overrides: Overrides,
    taken: set[str],
) -> list[Node]:
    from onnx import TensorProto, helper

    x, y, counts = pool.node.input[0], pool.node.output[0], pool.counts()
    kernel = fresh_name(f"{y}/kernel", taken)
    ones = np.ones((pool.channels, 1, *pool.window), np.float32)
    set_constant(model, kernel, ones / np.float32(pool.values))
    bordered = bool(counts.min() < pool.values)
    sums = fresh_name(f"{y}/sums", taken) if bordered else y
    convolution = helper.make_node(
        "Conv", [x, kernel], [sums], name=fresh_name(f"{pool.node.name}/sums", taken),
        group=pool.channels, kernel_shape=pool.window, strides=pool.strides, pads=pool.pads,
    )  # fmt: skip
    if not bordered:
        return [convolution]
    # Sums are smaller than averages, so that they take the range of these.
    ranges[sums] = replace(ranges[y])
    model.graph.value_info.append(
        helper.make_tensor_value_info(sums, TensorProto.FLOAT, [None, pool.channels, *counts.shape])
    )
    border = fresh_name(f"{y}/border", taken)
    least = _lcm(counts)
    step = pool.values / least / (_HIGHEST // int((least // counts).max()))
    set_constant(model, border, (pool.values / counts).astype(np.float32)[np.newaxis, np.newaxis])
    overrides[border] = [{"scale": np.array(step, np.float32), "zero_point": np.array(0, np.uint8)}]
    return [convolution, helper.make_node("Mul", [sums, border], [y], name=pool.node.name)]


def _lcm(counts: Array) -> int:
    return math.lcm(*(int(count) for count in np.unique(counts)))
