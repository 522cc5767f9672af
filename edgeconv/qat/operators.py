"""What each TFLite operator computes, in TensorFlow: differentiable, on real numbers.

Every function takes what the operator reads (tensors; constants as NumPy arrays; a
kernel in the Keras layout) and the step, and returns what it writes. The file's batch of
1 may be any: axis 0 is left alone, and reshaping keeps it.

Source: the operators' definitions in tensorflow/compiler/mlir/lite/ir/tfl_ops.td.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from edgeconv.qat.plan import Step
from edgeconv.types import Array

__all__ = ["Operator", "operators"]

Operator: TypeAlias = Callable[[Sequence[Any], Step], Any]
#: schema.fbs, Padding.
_PADDINGS = {0: "SAME", 1: "VALID"}


@cache
def operators() -> Mapping[str, Operator]:
    """Operator type -> what computes it; imports TensorFlow."""
    return {**_weighted(), **_pools(), **_shapes(), **_pairs(), **_singles()}


def _fused(step: Step, value: Any) -> Any:
    """The activation that is part of the operator (schema.fbs, ActivationFunctionType)."""
    import tensorflow as tf

    clamps = {
        0: lambda x: x,
        1: tf.nn.relu,
        2: lambda x: tf.clip_by_value(x, -1.0, 1.0),
        3: tf.nn.relu6,
        4: tf.tanh,
    }
    return clamps[step.options.fusedActivationFunction](value)


def _biased(step: Step, x: Sequence[Any], slot: int, value: Any) -> Any:
    has_bias = len(step.inputs) > slot and step.inputs[slot] >= 0
    return _fused(step, value + x[slot] if has_bias else value)


def _weighted() -> Mapping[str, Operator]:
    import tensorflow as tf

    def convolution(x: Sequence[Any], step: Step) -> Any:
        given = step.options
        groups = x[0].shape[-1] // x[1].shape[2]
        pairs = zip(tf.split(x[0], groups, -1), tf.split(x[1], groups, -1), strict=True)
        parts = [
            tf.nn.conv2d(
                part,
                kernel,
                (given.strideH, given.strideW),
                _PADDINGS[given.padding],
                dilations=(given.dilationHFactor, given.dilationWFactor),
            )
            for part, kernel in pairs
        ]
        return _biased(step, x, 2, parts[0] if groups == 1 else tf.concat(parts, -1))

    def depthwise(x: Sequence[Any], step: Step) -> Any:
        given = step.options
        made = tf.nn.depthwise_conv2d(
            x[0],
            x[1],
            (1, given.strideH, given.strideW, 1),
            _PADDINGS[given.padding],
            dilations=(given.dilationHFactor, given.dilationWFactor),
        )
        return _biased(step, x, 2, made)

    def dense(x: Sequence[Any], step: Step) -> Any:
        rows = x[0] if step.options.keepNumDims else tf.reshape(x[0], [-1, x[1].shape[0]])
        return _biased(step, x, 2, tf.tensordot(rows, x[1], 1))

    def transposed(x: Sequence[Any], step: Step) -> Any:
        given = step.options
        shape = tf.concat([tf.shape(x[2])[:1], tf.constant(x[0][1:], tf.int32)], 0)
        made = tf.nn.conv2d_transpose(
            x[2],
            tf.transpose(x[1], (0, 1, 3, 2)),
            shape,
            (given.strideH, given.strideW),
            _PADDINGS[given.padding],
        )
        return _biased(step, x, 3, made)

    return {
        "CONV_2D": convolution,
        "DEPTHWISE_CONV_2D": depthwise,
        "FULLY_CONNECTED": dense,
        "TRANSPOSE_CONV": transposed,
    }


def _pools() -> Mapping[str, Operator]:
    import tensorflow as tf

    def pool(function: Callable[..., Any]) -> Operator:
        def pooled(x: Sequence[Any], step: Step) -> Any:
            given = step.options
            window = (given.filterHeight, given.filterWidth)
            strides = (given.strideH, given.strideW)
            return _fused(step, function(x[0], window, strides, _PADDINGS[given.padding]))

        return pooled

    def reduce(function: Callable[..., Any]) -> Operator:
        return lambda x, step: function(x[0], tuple(np.ravel(x[1])), step.options.keepDims)

    return {
        "AVERAGE_POOL_2D": pool(tf.nn.avg_pool2d),
        "MAX_POOL_2D": pool(tf.nn.max_pool2d),
        "MEAN": reduce(tf.reduce_mean),
        "SUM": reduce(tf.reduce_sum),
        "REDUCE_MAX": reduce(tf.reduce_max),
    }


def _shapes() -> Mapping[str, Operator]:
    import tensorflow as tf

    def resized(method: str) -> Operator:
        def resize(x: Sequence[Any], step: Step) -> Any:
            given = step.options
            if given.alignCorners:
                function = getattr(tf.compat.v1.image, f"resize_{method}")
                return function(x[0], x[1], align_corners=True)
            if given.halfPixelCenters:
                return tf.image.resize(x[0], x[1], method=method.replace("_neighbor", ""))
            return getattr(tf.compat.v1.image, f"resize_{method}")(x[0], x[1])

        return resize

    def padded(x: Sequence[Any], step: Step) -> Any:
        filler = float(np.ravel(x[2])[0]) if len(x) > 2 else 0.0
        return tf.pad(x[0], x[1], constant_values=filler)

    def reshaped(x: Sequence[Any], step: Step) -> Any:
        wanted = x[1] if len(x) > 1 else step.options.newShape
        return tf.reshape(x[0], _any_batch(np.ravel(wanted)))

    def joined(x: Sequence[Any], step: Step) -> Any:
        return _fused(step, tf.concat(_same_batch(x), step.options.axis))

    return {
        "CONCATENATION": joined,
        "PAD": padded,
        "PADV2": padded,
        "MIRROR_PAD": lambda x, step: tf.pad(
            x[0], x[1], "REFLECT" if step.options.mode == 0 else "SYMMETRIC"
        ),
        "RESHAPE": reshaped,
        "SQUEEZE": lambda x, step: tf.squeeze(x[0], list(step.options.squeezeDims)),
        "EXPAND_DIMS": lambda x, step: tf.expand_dims(x[0], int(np.ravel(x[1])[0])),
        "TRANSPOSE": lambda x, step: tf.transpose(x[0], x[1]),
        "RESIZE_BILINEAR": resized("bilinear"),
        "RESIZE_NEAREST_NEIGHBOR": resized("nearest_neighbor"),
    }


def _any_batch(shape: Array) -> list[int]:
    return [-1, *(int(n) for n in shape[1:])]


def _same_batch(parts: Sequence[Any]) -> list[Any]:
    """Constants repeated as often as the batch has items."""
    import tensorflow as tf

    size = next(tf.shape(part)[0] for part in parts if not isinstance(part, np.ndarray))
    return [tf.repeat(p, size, 0) if isinstance(p, np.ndarray) else p for p in parts]


def _pairs() -> Mapping[str, Operator]:
    import tensorflow as tf

    def fused(function: Callable[[Any, Any], Any]) -> Operator:
        return lambda x, step: _fused(step, function(x[0], x[1]))

    def plain(function: Callable[[Any, Any], Any]) -> Operator:
        return lambda x, step: function(x[0], x[1])

    return {
        "ADD": fused(tf.add),
        "SUB": fused(tf.subtract),
        "MUL": fused(tf.multiply),
        "DIV": fused(tf.divide),
        "MAXIMUM": plain(tf.maximum),
        "MINIMUM": plain(tf.minimum),
        "SQUARED_DIFFERENCE": plain(tf.math.squared_difference),
        "PRELU": plain(lambda x, slope: tf.nn.relu(x) - slope * tf.nn.relu(-x)),
    }


def _singles() -> Mapping[str, Operator]:
    import tensorflow as tf

    functions: Mapping[str, Callable[[Any], Any]] = {
        # What fake quantization does at a border is done where the tensor is written.
        "QUANTIZE": tf.identity,
        "DEQUANTIZE": tf.identity,
        "RELU": tf.nn.relu,
        "RELU6": tf.nn.relu6,
        "RELU_N1_TO_1": lambda x: tf.clip_by_value(x, -1.0, 1.0),
        "HARD_SWISH": lambda x: x * tf.nn.relu6(x + 3.0) / 6.0,
        "LOGISTIC": tf.sigmoid,
        "TANH": tf.tanh,
        "ELU": tf.nn.elu,
        "EXP": tf.exp,
        "LOG": tf.math.log,
        "ABS": tf.abs,
        "NEG": tf.negative,
        "SQRT": tf.sqrt,
        "RSQRT": tf.math.rsqrt,
        "SQUARE": tf.square,
    }

    def single(function: Callable[[Any], Any]) -> Operator:
        return lambda x, step: function(x[0])

    return {name: single(function) for name, function in functions.items()} | {
        "SOFTMAX": lambda x, step: tf.nn.softmax(x[0] * step.options.beta),
        "LEAKY_RELU": lambda x, step: tf.nn.leaky_relu(x[0], step.options.alpha),
        "GELU": lambda x, step: tf.nn.gelu(x[0], step.options.approximate),
    }
