"""Follow: rescale a float graph as a file's own kernels show that it was rescaled.

A file that was made with ``equalize`` holds W' = W s_o / s_i and b' = b s_o, rounded. Held
against the model as it was lowered, its inner layers look wrong though none is. Walking
the kernels in execution order, the groups i that a kernel reads are known (what is fixed
is 1), and each output's factor is the least squares solution

    s_o  =  <W'_o, V_o> / <V_o, V_o>,    V = W / s_i

of which the first kernel that writes a group decides. A gain that a fault put into a
kernel looks like a factor as well; whoever reads the channel next tells the two apart:

    its kernel isn't W s_o / s_i for any s_o     s_i is what fits its rows best
    its bias isn't b s_o                         s_i and s_o are off by the same gain

Both need that no earlier reader agreed with s_i: else the reader itself is at fault. An
output whose weights are not those of the model takes the factor of its bias; where that
is next to none (a dead channel), the one that fits the rows of its first reader, or 1.

Requires: a file of edgeconv's, which keeps the names of its float graph.
Ensures: the float function is the same up to rounding; factors of a layer that are all
within 2% of 1 are rounding and count as 1.

Source: the inverse of ``equalize``'s W S^-1 and S W; ordinary and alternating least
squares.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from edgeconv.prepare.channels import Channels, Ends, kernel_groups, trace
from edgeconv.prepare.equalize import rescaled
from edgeconv.prepare.gains import TINY, Fit, by_bias, common_gain, fit_columns, fit_groups
from edgeconv.targets.anatomy import Anatomy
from edgeconv.targets.base import Target
from edgeconv.types import Array, FloatGraph, Weights

__all__ = ["Follower", "follow"]

#: Of a kernel's energy; rounding to 8 bits leaves 0.9999, to 4 bits 0.99.
_EXPLAINED: Final = 0.98
#: Of one output's, which may be small in a kernel that has one step for all.
_ALIKE: Final = 0.8
#: More than what a correction makes of most outputs' biases.
_GAIN: Final = 1.25
_ROUNDING: Final = 0.02
#: Of alternating least squares; 1% is reached after 3 or 4.
_ROUNDS: Final = 10


def follow(target: Target, graph: FloatGraph, file: Anatomy, path: Path) -> FloatGraph:
    """``graph`` with its channels scaled as those of ``file`` are.

    Args:
        target: The format of both.
        graph: Float, as it was lowered.
        file: Made from it by edgeconv.
        path: Where a changed graph is written.

    Returns:
        ``graph`` itself where no channel was rescaled.
    """
    weights = target.weights(graph)
    outputs = [spec.name for spec in graph.outputs]
    follower = Follower(trace(target.flows(graph), weights, outputs), weights)
    for layer, kernel, bias in target.weights_in(graph, file):
        follower.take(layer, kernel, bias)
    changed = rescaled(follower.channels, weights, follower.factors)
    return target.patch(graph, changed, path) if changed else graph


class Follower:
    """Factors, as the kernels of a file show them one after the other.

    Args:
        channels: Groups of the float graph.
        weights: Of the float graph.

    Attributes:
        factors: float64 [groups]; 1 where nothing is known.
    """

    def __init__(self, channels: Channels, weights: Weights) -> None:
        self.channels = channels
        self.factors = np.ones(channels.count)
        self._weights = weights
        fixed = np.arange(channels.count) == 0
        #: Groups that a kernel wrote, those whose factor it told, and those that a sound one read.
        self._written, self._told, self._read = fixed.copy(), fixed.copy(), fixed.copy()

    def take(self, layer: str, kernel: Array, bias: Array | None) -> None:
        """The next kernel of the file; those that may not be rescaled tell nothing.

        Args:
            layer: Its name in the float graph.
            kernel: float32 in the Keras layout, real values.
            bias: float32 [O] or None.
        """
        ends = self.channels.kernels.get(layer)
        own, own_bias = self._weights.get(layer, (kernel, None))
        if ends is None or own.shape != kernel.shape:
            return
        if not np.isfinite(kernel).all():
            kernel = np.zeros_like(kernel)
        ratios = by_bias(own_bias, bias, ends.written.size)
        self._tell_by_rows(own, kernel, ends, ratios)
        fit = self._corrected(own, kernel, ends)
        if fit.share >= _EXPLAINED:
            gain = common_gain(ratios, fit.gains)
            if not 1 / _GAIN < gain < _GAIN:
                self.factors[self._doubtful(ends)] *= gain
                fit = fit._replace(gains=fit.gains * gain)
            self._read[ends.read] = True
        self._write(ends.written, fit, ratios)

    def _tell_by_rows(self, own: Array, kernel: Array, ends: Ends, ratios: Array) -> None:
        """Factors of what is read where neither kernel nor bias of its writer told any."""
        silent = self._doubtful(ends) & ~self._told
        if not silent.any():
            return
        read, written = kernel_groups(own, ends)
        gains = np.where(np.isfinite(ratios), ratios, _fit(own, kernel, ends, self.factors).gains)
        made = own * gains.astype(np.float32).reshape(written.shape)
        inverse = fit_groups(made, kernel, read, silent.size)
        usable = silent & (inverse > 0)
        self.factors[usable] = 1 / inverse[usable]

    def _corrected(self, own: Array, kernel: Array, ends: Ends) -> Fit:
        """The fit of a kernel, after what it reads was set right."""
        fit, doubtful = _fit(own, kernel, ends, self.factors), self._doubtful(ends)
        if fit.share >= _EXPLAINED or not doubtful.any():
            return fit
        tried, better = self._read_back(own, kernel, ends, fit)
        if not better.share >= _EXPLAINED:
            return fit
        self.factors = tried
        return better

    def _read_back(self, own: Array, kernel: Array, ends: Ends, fit: Fit) -> tuple[Array, Fit]:
        """Factors that make a kernel's rows and columns fit, and its fit."""
        read, written = kernel_groups(own, ends)
        tried, doubtful = self.factors.copy(), self._doubtful(ends)
        for _ in range(_ROUNDS):
            made = own * fit.gains.astype(np.float32).reshape(written.shape)
            inverse = fit_groups(made, kernel, read, tried.size)
            usable = doubtful & (inverse > 0)
            tried[usable] = 1 / inverse[usable]
            fit = _fit(own, kernel, ends, tried)
        if doubtful[ends.read].all():  # what rows and columns share, only the bias tells
            ratio = float(np.median(tried[doubtful] / self.factors[doubtful]))
            tried[doubtful] /= ratio
            fit = fit._replace(gains=fit.gains / ratio)
        return tried, fit

    def _doubtful(self, ends: Ends) -> Array:
        """Bool [groups]: what a kernel reads and no sound kernel has read."""
        found = np.zeros(self.factors.size, bool)
        found[ends.read] = True
        found &= ~self._read
        return found

    def _write(self, groups: Array, fit: Fit, ratios: Array) -> None:
        sound = (fit.alike >= _ALIKE) & (fit.gains > 0)
        known = sound | np.isfinite(ratios)
        self._told[groups[known]] = True
        gains = np.where(sound, fit.gains, np.where(known, ratios, 1.0))
        energy = np.where(sound, fit.energy, 0.0) + TINY
        sums = [np.bincount(groups, each, self.factors.size) for each in (gains * energy, energy)]
        anew = np.zeros(self.factors.size, bool)
        anew[groups] = True
        anew &= ~self._written
        found = sums[0][anew] / sums[1][anew]
        if (np.abs(found - 1) > _ROUNDING).any():
            self.factors[anew] = found
        self._written[groups] = True


def _fit(own: Array, kernel: Array, ends: Ends, factors: Array) -> Fit:
    read, _ = kernel_groups(own, ends)
    return fit_columns(own / factors.astype(np.float32)[read], kernel, ends.written.size)
