"""Equalize channels: give each a scale at which rounding hurts it as little as the others.

    y = f(W2 f(W1 x + b1))  =  f(W2 S^-1 f(S W1 x + S b1)),    S = diag(s) > 0

An activation tensor has one step for all of its channels, and an output of a kernel one
step for all of its inputs; so a channel that is small in either loses most of its bits.
With, for channel c,

    a(c) = max over tensors of   max |s_c x_c|  /  max over channels of the same
    w(c) = max over kernels and their outputs of   |W2[c, o] / s_c|  /  max over channels

the factor s_c is multiplied by sqrt(w(c) / a(c)) until both are equal; channels that
Add, Concat, pooling and the like tie together share one factor. Both are relative, so
that any rescaling of the channels comes to the same weights.

Requires: BatchNorm folded; the extremes of each channel, where activations are to count.
Ensures: the float function is the same up to rounding; the model's inputs and outputs,
kernels that are shared, and channels behind an activation that lets no factor through
(ReLU6, hard-swish, sigmoid) keep their scale. Ranges of the rest have to be observed anew.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", ICCV 2019, section 4.1, with the activation's range in place of the first
kernel's, whose outputs have steps of their own: Xiao et al., "SmoothQuant", ICML 2023,
equation 4 with alpha = 0.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from edgeconv.prepare.base import Floats
from edgeconv.prepare.channels import Channels, Ends, kernel_groups, trace
from edgeconv.types import Array, Ranges, Weights

__all__ = ["equalize", "factors", "rescale"]

#: Rounds; a model of 60 layers needs some 20.
_MOST_ROUNDS: Final = 100
#: A round that moves no factor by more than 1% is the last.
_SETTLED: Final = 1e-2
#: What is smaller than this beside the largest channel has less than two of 127 steps:
#: it is lifted to them and no further, so that a dead channel ends somewhere.
_LEAST: Final = 1 / 64


def equalize(floats: Floats) -> Weights:
    """The layers whose channels were rescaled."""
    channels = trace(floats.flows(), floats.weights, floats.outputs)
    found = factors(channels, floats.weights, floats.ranges)
    return {
        layer: rescale(*floats.weights[layer], ends, found)
        for layer, ends in channels.kernels.items()
        if (found[ends.read] != 1).any() or (found[ends.written] != 1).any()
    }


def rescale(
    kernel: Array, bias: Array | None, ends: Ends, found: Array
) -> tuple[Array, Array | None]:
    """A kernel and its bias between rescaled channels.

    Args:
        kernel: float32 [..., I, O], depthwise [..., C, M] or grouped [..., I/g, O].
        bias: float32 [O] or None.
        ends: Its groups.
        found: float64 [groups], the factors.
    """
    read, written = kernel_groups(kernel, ends)
    scaled = (kernel * (found[written] / found[read])).astype(np.float32)
    return scaled, None if bias is None else (bias * found[ends.written]).astype(np.float32)


def factors(channels: Channels, weights: Weights, ranges: Ranges) -> Array:
    """The factor of each group.

    Args:
        channels: The groups.
        weights: As they are now.
        ranges: As they are now.

    Returns:
        float64 [groups], powers of nothing in particular; 1 for group 0.
    """
    reached = _Reached(channels, ranges)
    kernels = _Kernels(channels, weights)
    logs = np.zeros(channels.count)
    for _ in range(_MOST_ROUNDS):
        wanted = 0.5 * (kernels.relative(logs) - reached.relative(logs))
        wanted[0] = 0.0
        logs += wanted
        if np.abs(wanted).max() < _SETTLED:
            break
    return np.exp(logs)


class _Reached:
    """How far each group's activations reach, beside those of their tensors."""

    def __init__(self, channels: Channels, ranges: Ranges) -> None:
        self._count = channels.count
        self._tensors = list(self._known(channels.tensors, ranges))

    @staticmethod
    def _known(tensors: Mapping[str, Array], ranges: Ranges) -> Iterator[tuple[Array, Array]]:
        for name, groups in tensors.items():
            seen = ranges.get(name)
            if seen is None or seen.lows is None or seen.highs is None or not groups.any():
                continue
            if seen.lows.size == groups.size:
                yield groups, np.maximum(np.abs(seen.lows), np.abs(seen.highs)).astype(np.float64)

    def relative(self, logs: Array) -> Array:
        """Log a(c) of each group."""
        found = np.full(self._count, _LEAST)
        for groups, most in self._tensors:
            scaled = most * np.exp(logs[groups])
            np.maximum.at(found, groups, scaled / max(scaled.max(), np.finfo(float).tiny))
        logged: Array = np.log(found)
        return logged


class _Kernels:
    """How large the weights are that read each group, beside the others of their outputs."""

    def __init__(self, channels: Channels, weights: Weights) -> None:
        self._count = channels.count
        self._kernels = [
            (*kernel_groups(weights[layer][0], ends), _largest(weights[layer][0]))
            for layer, ends in channels.kernels.items()
            if ends.read.any()
        ]

    def relative(self, logs: Array) -> Array:
        """Log w(c) of each group."""
        found = np.full(self._count, _LEAST)
        for read, written, largest in self._kernels:
            scaled = largest / np.exp(logs[read])
            # A depthwise output reads one channel: its step is that channel's own.
            depthwise = read.shape[1] == 1 and written.shape[0] > 1
            most = scaled if depthwise else scaled.max(axis=0, keepdims=True)
            share = np.divide(scaled, most, out=np.zeros_like(scaled), where=most > 0)
            np.maximum.at(found, np.broadcast_to(read, scaled.shape), share)
        logged: Array = np.log(found)
        return logged


def _largest(kernel: Array) -> Array:
    """float64 of the kernel's two last axes: the largest weight over the others."""
    taps: Array = np.abs(kernel).reshape(-1, *kernel.shape[-2:]).max(axis=0)
    return taps.astype(np.float64)
