"""Lift channels whose weights are too small for their bias.

    bias_q[c] = bias[c] / (s_in * s_w[c]),   s_w[c] = max |w[c]| / 127

A dead channel (weights near 1e-10, a bias of 2) gets so small an s_w that its
bias leaves int32 and saturates: the channel is lost. So

    max |w[c]|  >=  127 * |bias[c]| / (s_in * 2^30)

is made true by raising the channel's largest weight to that bound. With int8
activations |x| <= 255 * s_in, so the channel's output moves by at most
255 * 127 / 2^30 = 3.0e-5 of its bias (int16: 0.4%), in a channel that was all bias.

Requires: BatchNorm folded; ranges of the layers' inputs.
Ensures: |bias_q| <= 2^30 in every integer layer, which leaves the other half of
int32 to the products; no other weight and no bias is changed.

Source: tensorflow/lite/tools/optimize/quantization_utils.cc,
AdjustWeightsForBiasScale, which raises the scale in place of the weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from edgeconv.prepare.base import Floats
from edgeconv.types import Array, TensorRange, Weights

__all__ = ["input_scale", "lift_channels", "lift_kernel"]

#: Largest step of a symmetric int8 weight; -128 is not used.
_WEIGHT_STEPS: Final = 127
#: Half of int32 for the bias, half for the sum of products: 255 * 127 * n stays
#: under 2^30 up to n = 33,000 products an output.
_LARGEST_BIAS: Final = 2.0**30
#: Steps between the ends of an activation's range; int16 is symmetric.
_INT8_STEPS: Final = 255
_INT16_STEPS: Final = 32767


def lift_channels(floats: Floats) -> Weights:
    """The layers in which a channel had to be lifted, with their new kernels."""
    return dict(_lifted(floats))


def _lifted(floats: Floats) -> Iterator[tuple[str, tuple[Array, Array]]]:
    for layer in floats.layers:
        kernel, bias = floats.weights.get(layer.name, (None, None))
        precision = floats.precisions.get(layer.name, "")
        seen = floats.ranges.get(layer.inputs[0]) if layer.inputs else None
        if kernel is None or bias is None or seen is None or precision not in _SCALES:
            continue
        lifted = lift_kernel(kernel, bias, input_scale(seen, precision))
        if lifted is not None:
            yield layer.name, (lifted, bias)


def lift_kernel(kernel: Array, bias: Array, s_in: float) -> Array | None:
    """Lift the channels of one kernel.

    Args:
        kernel: float32 [..., C], or [H, W, I, M] with C = I * M for depthwise.
        bias: float32 [C].
        s_in: Scale of the layer's input.

    Returns:
        A new kernel, or None where no channel needs it.
    """
    columns = kernel.reshape(-1, bias.size)
    needed = _WEIGHT_STEPS * np.abs(bias.astype(np.float64)) / (s_in * _LARGEST_BIAS)
    largest = np.abs(columns).argmax(axis=0)
    channels = np.flatnonzero(np.abs(columns).max(axis=0) < needed)
    if not channels.size:
        return None
    lifted = columns.copy()
    rows = largest[channels]
    lifted[rows, channels] = np.copysign(needed[channels], columns[rows, channels])
    return lifted.reshape(kernel.shape)


def input_scale(seen: TensorRange, precision: str) -> float:
    """The scale that a tensor's range comes to, at the least.

    Operators that force their input's scale on their output (pooling, reshapes)
    or share one (concatenations) only make it larger, which is the safe side.
    """
    return _SCALES[precision](seen)


def _int8(seen: TensorRange) -> float:
    return (max(seen.high, 0.0) - min(seen.low, 0.0)) / _INT8_STEPS


def _int16(seen: TensorRange) -> float:
    return max(abs(seen.low), abs(seen.high)) / _INT16_STEPS


_SCALES: Final = {"int8": _int8, "int16x8": _int16}
