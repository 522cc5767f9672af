"""Reasons: one sentence on why a layer adds what it adds, where the files tell.

Tried in this order, from the most particular; the first that holds is given. Every
threshold lies above what sound int8 quantization does: rounding to 127 steps leaves an
rms error of 1/sqrt(12) of a step, and a bias moves by at most half a step of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from edgeconv.types import Array
from edgeconv.verify.blame.gauge import Gauge
from edgeconv.verify.blame.ranges import Kernels
from edgeconv.verify.blame.units import Unit

__all__ = ["reason"]

__all__ = ["reason"]

#: Of the local error's energy: a difference of biases or a shift that explains it. Half of
#: a shift may vanish in a ReLU.
_EXPLAINED: Final = 0.3
_SHIFT: Final = 0.25
#: Relative rms difference of float kernels (float16: 3e-4), and of kernels up to a gain.
_FLOAT_KERNEL: Final = 1e-3
_KERNEL: Final = 0.05
#: Times what rounding to 8 bits leaves; 4 bits leave 16 times as much.
_ROUNDINGS: Final = 3.0
#: A gain of a channel that no rounding makes.
_GAIN: Final = 0.05
#: Levels that 4 bits have, and zero.
_FEW_LEVELS: Final = 17
#: Steps that all weights are off, and what rounding leaves of it.
_OFF_STEPS: Final = 2.0
_ROUNDED_STEPS: Final = 0.6
_CLIPPED_PERCENT: Final = 0.1
_OUTLIER: Final = 8.0
#: Noise to signal from where on a shift is worth a word.
_NOISY: Final = 1e-3


def reason(unit: Unit, gauge: Gauge, held: Kernels | None) -> str:
    """Why, or "" where nothing stands out."""
    if gauge.local_noise <= 0.0:
        return ""
    if not np.isfinite(gauge.local_noise):
        return "its output holds NaN or infinity"
    if unit.expected is None:
        return _clipped(gauge)
    if held is not None:
        for explain in _EXPLANATIONS:
            found = explain(gauge, held)
            if found:
                return found
    return _clipped(gauge) or _one_scale(held) or _shifted(gauge) or _uneven(gauge)


def _bias(gauge: Gauge, held: Kernels) -> str:
    """The same kernel, another bias."""
    if held.bias is None or held.found is None or _kernel_differs(held):
        return ""
    found = np.zeros_like(held.bias) if held.found_bias is None else held.found_bias
    difference = found - held.bias
    explained = float(np.sum(difference**2)) * gauge.positions / gauge.local_noise
    # What a bias was corrected by for int8's sake leaves no mean shift behind.
    if explained < _EXPLAINED or (held.scales is not None and gauge.shift_share < _SHIFT):
        return ""
    if held.bias.any() and not found.any():
        return f"its bias is missing: {_mean_shift(difference)}"
    return f"its bias differs: {_mean_shift(difference)}"


def _gains(gauge: Gauge, held: Kernels) -> str:
    """The kernel of each channel times a number of its own."""
    if held.found is None or not _kernel_differs(held):
        return ""
    if not held.found.any():
        return "its weights are all zero"
    power = np.einsum("cn,cn->c", held.expected, held.expected)
    alive = power > 1e-12 * max(float(power.max(initial=0.0)), 1e-30)
    gains = np.ones(len(power))
    products = np.einsum("cn,cn->c", held.expected, held.found)
    gains[alive] = products[alive] / power[alive]
    rest = held.found - gains[:, np.newaxis] * held.expected
    if _rms(rest) > _KERNEL * _rms(held.found):
        return ""
    off = np.flatnonzero(alive & (np.abs(gains - 1.0) > _GAIN))
    if not off.size:
        return ""
    if off.size == np.count_nonzero(alive) and np.ptp(gains[off]) < _GAIN * abs(gains[off].mean()):
        return f"its weights are {gains[off].mean():.3g} times what they should be"
    if off.size == 1:
        return f"the weights of channel {off[0]} are {gains[off[0]]:.3g} times what they should be"
    return (
        f"its scales differ by channel: the weights of {off.size} of {len(gains)} channels are "
        f"{gains[off].min():.3g} to {gains[off].max():.3g} times what they should be"
    )


def _few_levels(gauge: Gauge, held: Kernels) -> str:
    """Fewer bits than the rest of the file."""
    if held.found is None or held.scales is None or not _kernel_differs(held):
        return ""
    levels = int(np.unique(np.rint(held.found / held.scales)).size)
    if not 2 < levels <= _FEW_LEVELS < held.found.size / 4:
        return ""
    return f"its weights take only {levels} different steps: 4 bits or fewer"


def _offset(gauge: Gauge, held: Kernels) -> str:
    """All weights some steps off."""
    if held.found is None or held.scales is None or not _kernel_differs(held):
        return ""
    steps = (held.found - held.expected) / held.scales
    middle = float(np.median(steps))
    if abs(middle) < _OFF_STEPS or np.median(np.abs(steps - middle)) > _ROUNDED_STEPS:
        return ""
    return f"its weights are {middle:+.0f} steps off: a wrong zero point"


def _kernel(gauge: Gauge, held: Kernels) -> str:
    """Other weights."""
    if held.found is None or not _kernel_differs(held):
        return ""
    percent = 100.0 * _rms(held.found - held.expected) / max(_rms(held.expected), 1e-30)
    if _sorted_alike(held):
        return "its weights are the right ones in a wrong order"
    return f"its weights differ by {percent:.0f}%"


_EXPLANATIONS: Final[Sequence[Callable[[Gauge, Kernels], str]]] = (
    _bias,
    _few_levels,
    _offset,
    _gains,
    _kernel,
)


def _clipped(gauge: Gauge) -> str:
    """The range of the output ends before its values do."""
    ends = gauge.representable
    if ends is None or gauge.clipped < _CLIPPED_PERCENT:
        return ""
    return (
        f"{gauge.clipped:.2g}% of its values are clipped: seen {gauge.low:.3g} to "
        f"{gauge.high:.3g}, held {ends[0]:.3g} to {ends[1]:.3g}"
    )


def _shifted(gauge: Gauge) -> str:
    """A constant in each channel that the constants of the files don't explain."""
    if gauge.shift_share < _SHIFT or gauge.local_noise < _NOISY * gauge.signal:
        return ""
    return f"its output is shifted: {_mean_shift(gauge.shift)}"


def _one_scale(held: Kernels | None) -> str:
    """One scale for the channels of a kernel, though they differ much in size."""
    if held is not None and held.scales is not None and held.scales.size == 1:
        channel, times = _widest(np.abs(held.expected).max(axis=1, initial=0.0))
        if times >= _OUTLIER:
            return (
                f"its kernel has one scale for all channels, and channel {channel} reaches "
                f"{times:.0f} times as far as the median one"
            )
    return ""


def _uneven(gauge: Gauge) -> str:
    """One scale for the channels of an output, though they differ much in size."""
    if gauge.representable is not None:
        channel, times = _widest(np.maximum(np.abs(gauge.lows), np.abs(gauge.highs)))
        if times >= _OUTLIER:
            return (
                f"channel {channel} of its output reaches {times:.0f} times as far as the median "
                "one, which is left with few steps"
            )
    return ""


def _widest(sizes: Array) -> tuple[int, float]:
    """The largest of the channels, and how many times the median it is."""
    typical, channel = float(np.median(sizes)), int(np.argmax(sizes))
    return channel, float(sizes[channel]) / typical if typical > 0.0 else 0.0


def _mean_shift(difference: Array) -> str:
    size = np.abs(difference)
    moved = int(np.count_nonzero(size > 0.1 * size.max(initial=0.0)))
    where = "every channel" if moved == size.size else f"{moved} of {size.size} channels"
    largest = int(np.argmax(size))
    return (
        f"mean shift of {size.mean():.2g} in {where}, "
        f"largest {difference[largest]:.2g} in channel {largest}"
    )


def _kernel_differs(held: Kernels) -> bool:
    """By more than rounding explains."""
    if held.found is None:
        return False
    allowed = _FLOAT_KERNEL * _rms(held.expected)
    if held.scales is not None:
        # A step of the kernel as it ought to be; rounding errors spread over one evenly.
        widest = np.abs(held.expected).max(axis=0 if held.scales.size == 1 else 1, initial=0.0)
        steps = widest.max() if held.scales.size == 1 else widest
        allowed = max(allowed, _ROUNDINGS * _rms(np.asarray(steps) / 127.0) / math.sqrt(12.0))
    return _rms(held.found - held.expected) > allowed


def _sorted_alike(held: Kernels) -> bool:
    assert held.found is not None
    one, other = np.sort(held.expected, axis=None), np.sort(held.found, axis=None)
    return _rms(one - other) < _KERNEL * _rms(one)


def _rms(value: Array) -> float:
    return float(np.sqrt(np.mean(value**2))) if value.size else 0.0
