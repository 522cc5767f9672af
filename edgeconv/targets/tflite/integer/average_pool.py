"""AVERAGE_POOL_2D(x)  ->  DEPTHWISE_CONV_2D(x, 1/n)  [-> MUL by n / count]

    VALID   every window holds n = h * w values: a convolution with n times 1/n
    SAME    a window at the border holds fewer (count): zeros beyond it add nothing, and
            the sum of the others is divided by n, which the product mends

The product's constant is [1, H, W, 1], of integers: 3 x 3 has 9 / 9, 9 / 6 and 9 / 4,
which are 4, 6 and 9 times 1/4. Within the border nothing is rounded twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.integer.edit import (
    HIGHEST,
    activation,
    constant,
    is_int8,
    operator,
    scale_of,
    zero_point_of,
)
from edgeconv.types import Array

__all__ = ["average_pool_by_depthwise"]

#: Larger windows are as good as MEAN, and their kernels would swell the file.
_MOST_VALUES: Final = 16
#: schema.fbs, Padding.
_SAME: Final = 0

Share = Callable[[str, Array, tuple[float, ...], int], int]


def average_pool_by_depthwise(model: fb.ModelT) -> None:
    """See the module."""
    graph, names = model.subgraphs[0], fb.operator_names(model)
    share = _sharing(model)
    made: list[Any] = []
    for found in graph.operators:
        if names[found.opcodeIndex] == "AVERAGE_POOL_2D" and _fits(model, found):
            made += _convolution(model, found, share)
        else:
            made.append(found)
    graph.operators = made


def _fits(model: fb.ModelT, found: Any) -> bool:
    tensors, options = model.subgraphs[0].tensors, found.builtinOptions
    source, output = tensors[found.inputs[0]], tensors[found.outputs[0]]
    return (
        is_int8(source)
        and is_int8(output)
        and options.filterHeight * options.filterWidth <= _MOST_VALUES
        and options.fusedActivationFunction == 0
        and all(int(n) > 0 for n in source.shape)
        and (options.padding != _SAME or _lcm(_counts(source, options)) <= HIGHEST)
    )


def _convolution(model: fb.ModelT, found: Any, share: Share) -> list[Any]:
    from ai_edge_litert import schema_py_generated as schema

    tensors, options = model.subgraphs[0].tensors, found.builtinOptions
    x, y = int(found.inputs[0]), int(found.outputs[0])
    depthwise = schema.DepthwiseConv2DOptionsT()
    depthwise.padding, depthwise.depthMultiplier = options.padding, 1
    depthwise.strideH, depthwise.strideW = options.strideH, options.strideW
    kernel, bias = _kernel(tensors[x], options, share)
    counts = _counts(tensors[x], options)
    if options.padding != _SAME or counts.min() == counts.max():
        return [operator(model, "DEPTHWISE_CONV_2D", [x, kernel, bias], y, depthwise)]
    output = tensors[y]
    sums = activation(
        model, f"{fb.name_of(output)}/sums", output.shape, scale_of(output), zero_point_of(output)
    )
    whole, least = int(options.filterHeight * options.filterWidth), _lcm(counts)
    border = (least // counts).astype(np.int8)[np.newaxis, :, :, np.newaxis]
    product = share("average_pool/border", border, (whole / least,), 0)
    return [
        operator(model, "DEPTHWISE_CONV_2D", [x, kernel, bias], sums, depthwise),
        operator(model, "MUL", [sums, product], y, schema.MulOptionsT()),
    ]


def _kernel(source: Any, options: Any, share: Share) -> tuple[int, int]:
    """Indices of the constants 1/n, [1, h, w, C], and 0, [C]."""
    height, width = int(options.filterHeight), int(options.filterWidth)
    channels, step = int(source.shape[-1]), 1 / (height * width * HIGHEST)
    weights = np.full((1, height, width, channels), HIGHEST, np.int8)
    kernel = share("average_pool/kernel", weights, (step,) * channels, 3)
    zeros = np.zeros(channels, np.int32)
    return kernel, share("average_pool/bias", zeros, (step * scale_of(source),) * channels, 0)


def _counts(source: Any, options: Any) -> Array:
    """How many values of the input lie in each window, int64 [H, W], with SAME padding."""
    _, height, width, _ = (int(n) for n in source.shape)
    rows = _along(height, int(options.filterHeight), int(options.strideH))
    columns = _along(width, int(options.filterWidth), int(options.strideW))
    return np.outer(rows, columns)


def _along(size: int, window: int, stride: int) -> Array:
    made = -(-size // stride)
    before = max((made - 1) * stride + window - size, 0) // 2
    starts = np.arange(made) * stride - before
    return np.minimum(starts + window, size) - np.maximum(starts, 0)


def _lcm(counts: Array) -> int:
    return math.lcm(*(int(count) for count in np.unique(counts)))


def _sharing(model: fb.ModelT) -> Share:
    """Constants by their value: one for all pools that need the same."""
    known: dict[tuple[Any, ...], int] = {}

    def share(name: str, value: Array, scales: tuple[float, ...], axis: int) -> int:
        key = (value.shape, value.tobytes(), scales)
        if key not in known:
            known[key] = constant(model, name, value, scales, axis)
        return known[key]

    return share
