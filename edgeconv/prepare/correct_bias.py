"""Correct each bias for the mean error that rounding the weights makes.

    e = Q(w) - w,    Q(w) = s_w * round(w / s_w),    s_w[c] = max |w[c]| / 127
    bias'[c] = bias[c] - sum over i of E[x_i] * e[i, c]

Rounding errors don't average out within a channel: a depthwise kernel has nine
weights. Their mean effect on the output, E[x] * e, is a constant that a bias can
take back. E[x] is measured on the calibration set, a mean a channel of the layer's
input; the few outputs at a picture's border, where padding is 0, are counted as
the others.

Requires: BatchNorm folded; means of the layers' inputs; the engines' own weight
quantizer is Q (per channel, symmetric, 127 steps). A kernel that another pass has
rounded is its own Q(w); w is then what it was before.
Ensures: only biases change, and only of layers with int8 weights.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", ICCV 2019, section 4.2, with measured in place of derived means.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgeconv.prepare.base import Floats
from edgeconv.types import Array, Weights

__all__ = ["correct_bias", "mean_error", "rounding_error"]

_WEIGHT_STEPS: Final = 127
_ROUNDED: Final = ("int8", "int16x8")


def correct_bias(floats: Floats) -> Weights:
    """The integer layers with their corrected biases."""
    changed: dict[str, tuple[Array, Array | None]] = {}
    for layer in floats.layers:
        kernel, bias = floats.weights.get(layer.name, (None, None))
        seen = floats.ranges.get(layer.inputs[0]) if layer.inputs else None
        rounded = floats.precisions.get(layer.name, "") in _ROUNDED
        if kernel is None or bias is None or seen is None or seen.mean is None or not rounded:
            continue
        error = mean_error(kernel, seen.mean, bias.size, floats.exact.get(layer.name))
        if error is not None:
            changed[layer.name] = (kernel, (bias - error).astype(np.float32))
    return changed


def rounding_error(kernel: Array, channels: int, exact: Array | None = None) -> Array:
    """What Q adds to each weight.

    Args:
        kernel: float32, reshapes to [-1, channels].
        channels: Of the output.
        exact: The weights, where ``kernel`` is already another's rounding of them.

    Returns:
        float64 of the kernel's shape.
    """
    columns = kernel.reshape(-1, channels).astype(np.float64)
    scale = np.abs(columns).max(axis=0) / _WEIGHT_STEPS
    scale[scale == 0] = 1.0
    meant = columns if exact is None else exact.reshape(-1, channels)
    error: Array = np.rint(columns / scale) * scale - meant
    return error.reshape(kernel.shape)


def mean_error(
    kernel: Array, mean: Array, channels: int, exact: Array | None = None
) -> Array | None:
    """The mean of what rounding the kernel adds to each output channel.

    Args:
        kernel: float32 [H, W, I, O], [I, O], or depthwise [H, W, I, M] with
            ``channels`` = I * M; I is that of one group where there are groups.
        mean: float64 [C] of the input's channels.
        channels: Of the output.
        exact: See ``rounding_error``.

    Returns:
        float64 [channels], or None where the mean doesn't fit the kernel (an
        input that was flattened on its way).
    """
    error = rounding_error(kernel, channels, exact)
    taps: Array = error.reshape(-1, *error.shape[-2:]).sum(axis=0)
    inputs, outputs = taps.shape
    if inputs == mean.size and outputs == channels:
        return np.asarray(mean @ taps)
    if inputs == mean.size and inputs * outputs == channels:
        return np.asarray((mean[:, np.newaxis] * taps).reshape(-1))
    if outputs == channels and mean.size % inputs == 0 and channels % (mean.size // inputs) == 0:
        groups = mean.size // inputs
        grouped = taps.reshape(inputs, groups, channels // groups)
        summed: Array = np.einsum("gi,igo->go", mean.reshape(groups, inputs), grouped)
        return summed.reshape(-1)
    return None
