"""Latency of a model file on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeconv.runtime.affine import quantize
from edgeconv.runtime.engines import Model
from edgeconv.types import Array

__all__ = ["Latency", "measure"]

_WARM_UP_RUNS = 3
_MIN_RUNS, _MAX_RUNS = 10, 100
# Enough for a steady median of models up to 50 ms.
_BUDGET_S = 0.5


@dataclass(frozen=True)
class Latency:
    """Times of single inferences.

    Attributes:
        median_ms: Half of the runs were faster.
        p95_ms: 95% of the runs were faster.
        runs: How many were timed, after the warm-up.
        engine: Name and version.
    """

    median_ms: float
    p95_ms: float
    runs: int
    engine: str


def measure(model: Model, x: Sequence[Array]) -> Latency:
    """Time single inferences.

    Args:
        model: Opened with the number of threads that is to be measured.
        x: One float32 array an input, [1, ...], preprocessed; quantized once, untimed.

    Returns:
        Median and 95th percentile over at least 10 runs.
    """
    ready = [quantize(array, spec) for array, spec in zip(x, model.inputs, strict=True)]
    for _ in range(_WARM_UP_RUNS):
        model.raw(*ready)
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < _MIN_RUNS or (
        len(times) < _MAX_RUNS and time.perf_counter() - start < _BUDGET_S
    ):
        before = time.perf_counter()
        model.raw(*ready)
        times.append((time.perf_counter() - before) * 1e3)
    return Latency(
        median_ms=round(float(np.median(times)), 3),
        p95_ms=round(float(np.percentile(times, 95)), 3),
        runs=len(times),
        engine=f"{model.engine} {model.version}",
    )
