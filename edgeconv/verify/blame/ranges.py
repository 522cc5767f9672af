"""Ranges: the weights and activations behind a layer's error, in plain JSON types."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgeconv.targets.anatomy import Anatomy, Step
from edgeconv.types import Array
from edgeconv.verify.blame.gauge import Gauge
from edgeconv.verify.blame.units import Unit

__all__ = [
    "BINS",
    "Kernels",
    "activation_range",
    "counts",
    "ends",
    "histogram",
    "kernels",
    "weight_range",
]

#: More are looked at in part: VGG16's first dense layer has 103 million, whose float64
#: copies took 10 GB; no convolution of the zoo has as many as this.
_MOST_WEIGHTS: Final = 8_000_000
#: Of a histogram; the report draws them some 5 pixels wide.
BINS: Final = 48
#: A bin that float64 can't divide by any more.
_NARROW: Final = 1e-300


@dataclass(frozen=True)
class Kernels:
    """A layer's constants in both files, one row a channel.

    Attributes:
        expected: float64 [C, n], the float file's kernel, of a very large one every
            so many-th weight.
        found: float64 [C, n], the candidate's; None where it has no such kernel.
        bias: float64 [C] of the float file; None where it has none.
        found_bias: float64 [C] of the candidate; None where it has none.
        scales: float64 [C, 1] or [1, 1], the steps of the candidate's kernel; None where
            it is float.
    """

    expected: Array
    found: Array | None
    bias: Array | None
    found_bias: Array | None
    scales: Array | None


def kernels(reference: Anatomy, candidate: Anatomy, unit: Unit) -> Kernels | None:
    """What a unit's main operator holds; None where it holds no kernel."""
    if unit.expected is None or not unit.expected.kernel:
        return None
    expected = _rows(reference, unit.expected)
    if expected is None:
        return None
    found = _rows(candidate, unit.found) if unit.found and unit.found.kernel else None
    if found is not None and found.shape != expected.shape:
        found = None
    return Kernels(
        expected,
        found,
        _flat(reference.bias(unit.expected), len(expected)),
        _flat(candidate.bias(unit.found), len(expected)) if unit.found else None,
        _scales(candidate, unit.found) if found is not None else None,
    )


def weight_range(held: Kernels) -> Mapping[str, Any]:
    """Ends of the weights, and the channel that reaches furthest beside the median channel."""
    widest = np.abs(held.expected).max(axis=1, initial=0.0)
    typical = float(np.median(widest))
    channel = int(np.argmax(widest))
    return {
        "low": float(held.expected.min(initial=0.0)),
        "high": float(held.expected.max(initial=0.0)),
        "outlier_channel": channel,
        "ratio": float(widest[channel]) / typical if typical > 0.0 else None,
    }


def activation_range(gauge: Gauge, representable: tuple[float, float] | None) -> Mapping[str, Any]:
    """What the float model's output was seen to hold beside what the candidate's can."""
    return {
        "low": _finite(gauge.low),
        "high": _finite(gauge.high),
        "representable": None if representable is None else [float(end) for end in representable],
        "clipped": gauge.clipped,
    }


def histogram(expected: Array, found: Array | None, low: float, high: float) -> Mapping[str, Any]:
    """Counts of both over the same BINS bins; what lies beyond an end counts in the last bin."""
    return {
        "low": low,
        "high": high,
        "counts": counts(expected, low, high),
        "candidate_counts": None if found is None else counts(found, low, high),
    }


def ends(values: Iterable[Array]) -> tuple[float, float]:
    """The smallest and the largest finite value; 0 where there is none."""
    finite = [np.nan_to_num(value, posinf=0.0, neginf=0.0) for value in values if value.size]
    low = min((float(value.min()) for value in finite), default=0.0)
    return low, max((float(value.max()) for value in finite), default=0.0)


def counts(values: Array, low: float, high: float) -> list[int]:
    """How many values fall into each of BINS bins between ``low`` and ``high``."""
    width = (high - low) / BINS
    if not width > _NARROW:
        return [0] * (BINS // 2) + [values.size] + [0] * (BINS - BINS // 2 - 1)
    places = (np.nan_to_num(values.reshape(-1)) - low) * (1.0 / width)
    places = np.clip(places, 0, BINS - 1).astype(np.int64)
    return [int(n) for n in np.bincount(places, minlength=BINS)]


def _rows(anatomy: Anatomy, step: Step) -> Array | None:
    kernel = anatomy.kernel(step)
    if kernel is None or kernel.ndim < 2:
        return None
    moved = np.moveaxis(kernel, anatomy.kernel_axis(step), 0)
    flat = moved.reshape(len(moved), -1)
    rows: Array = flat[:, :: -(-flat.size // _MOST_WEIGHTS)].astype(np.float64)
    return rows


def _scales(candidate: Anatomy, step: Step | None) -> Array | None:
    scales = None if step is None else candidate.kernel_scales(step)
    return None if scales is None else scales.astype(np.float64).reshape(-1, 1)


def _flat(bias: Array | None, channels: int) -> Array | None:
    if bias is None or bias.size != channels:
        return None
    return bias.reshape(-1).astype(np.float64)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
