"""Equalize channels: give each a scale at which rounding hurts it as little as the others.

    y = f(W2 f(W1 x + b1))  =  f(W2 S^-1 f(S W1 x + S b1)),    S = diag(s) > 0

An activation tensor has one step for all of its channels, and an output of a kernel one
step for all of its inputs; so a channel that is small in either loses most of its bits.
s_c is multiplied by sqrt(w(c) / a(c)) (see ``balance``) until they are equal; channels
that Add, Concat, pooling and the like tie together share one factor. Both shares are
relative, so that any rescaling of the channels comes to the same weights.

Channels that are alike already stay as they are: a component (a residual stream, a ReLU
between two convolutions) is rescaled only where that takes 6 dB from the noise, a bit of
the average channel. What it takes is headroom: a small channel may no longer reach beyond
what calibration saw. Where less is to be gained, that costs more: with a limit of 3 dB
NASNetMobile, its weights random, loses 0.9 dB of its logits on 32 pictures.

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

from typing import Final

import numpy as np

from edgeconv.prepare.balance import Balance
from edgeconv.prepare.base import Floats
from edgeconv.prepare.channels import Channels, Ends, kernel_groups, trace
from edgeconv.types import Array, Weights

__all__ = ["equalize", "factors", "rescale", "rescaled"]

#: Rounds after which it is known whether anything is to be gained.
_FIRST_ROUNDS: Final = 5
_MOST_ROUNDS: Final = 100
#: A round that moves no factor by more than 1% is the last.
_SETTLED: Final = 1e-2
#: 6 dB a bit.
_LEAST_GAIN_DB: Final = 6.0


def equalize(floats: Floats) -> Weights:
    """The layers whose channels were rescaled."""
    channels = trace(floats.flows(), floats.weights, floats.outputs)
    found = factors(Balance(channels, floats.weights, floats.ranges))
    return rescaled(channels, floats.weights, found)


def rescaled(channels: Channels, weights: Weights, found: Array) -> Weights:
    """The layers that factors change, with them.

    Args:
        channels: Groups of the graph.
        weights: Its own.
        found: float64 [groups], the factors.
    """
    return {
        layer: rescale(*weights[layer], ends, found)
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
    scaled = kernel * found[written].astype(np.float32)
    scaled /= found[read].astype(np.float32)
    return scaled, None if bias is None else (bias * found[ends.written]).astype(np.float32)


def factors(balance: Balance, least_gain_db: float = _LEAST_GAIN_DB) -> Array:
    """The factor of each group.

    Args:
        balance: Of the graph as it is.
        least_gain_db: A component that gains less keeps its scale.

    Returns:
        float64 [groups]; 1 for group 0.
    """
    logs = np.zeros(len(balance.components))
    for count in range(_MOST_ROUNDS):
        wanted = 0.5 * (balance.weights(logs) - balance.activations(logs))
        wanted[0] = 0.0
        logs += wanted
        if count == _FIRST_ROUNDS and balance.gain_db(logs).max() < least_gain_db / 2:
            break
        if np.abs(wanted).max() < _SETTLED:
            break
    logs[balance.gain_db(logs) < least_gain_db] = 0.0
    logs[0] = 0.0
    return np.exp(logs)
