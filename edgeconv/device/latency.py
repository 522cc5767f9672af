"""Latency of model files on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeconv.runtime.affine import quantize
from edgeconv.runtime.engines import Model
from edgeconv.types import Array

__all__ = ["Latency", "measure", "measure_in_turn"]

_WARM_UP_RUNS = 3
_ROUNDS = 5
_MIN_RUNS, _MAX_RUNS = 2, 20
# Enough for a steady median of models up to 50 ms, over all rounds.
_BUDGET_S = 0.5


@dataclass(frozen=True)
class Latency:
    """Times of single inferences.

    Attributes:
        median_ms: Half of the runs were faster.
        p95_ms: 95% of the runs were faster.
        runs: How many were timed, after the warm-up.
        engine: Name and version.
        rounds_ms: The median of each round.
    """

    median_ms: float
    p95_ms: float
    runs: int
    engine: str
    rounds_ms: tuple[float, ...]


def measure(model: Model, x: Sequence[Array]) -> Latency:
    """Time single inferences of one model; see ``measure_in_turn``."""
    return measure_in_turn([model], x)[0]


def measure_in_turn(models: Sequence[Model], x: Sequence[Array]) -> list[Latency]:
    """Time single inferences, in rounds: some runs of each model, then some more of each.

    What slows the machine down for a while slows all of them down.

    Args:
        models: Opened with the number of threads that is to be measured.
        x: One float32 array an input, [1, ...], preprocessed; quantized once, untimed.

    Returns:
        Median and 95th percentile over at least 10 runs of each model, in their order.
    """
    ready = [
        [quantize(array, spec) for array, spec in zip(x, model.inputs, strict=True)]
        for model in models
    ]
    for model, arrays in zip(models, ready, strict=True):
        for _ in range(_WARM_UP_RUNS):
            model.raw(*arrays)
    rounds: list[list[list[float]]] = [[] for _ in models]
    for number in range(_ROUNDS):
        # There and back, so that none always follows the same other.
        order = range(len(models))
        for i in order if number % 2 == 0 else reversed(order):
            rounds[i].append(_round(models[i], ready[i]))
    return [_latency(model, own) for model, own in zip(models, rounds, strict=True)]


def _round(model: Model, arrays: Sequence[Array]) -> list[float]:
    """Milliseconds of each run of one round."""
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < _MIN_RUNS or (
        len(times) < _MAX_RUNS and time.perf_counter() - start < _BUDGET_S / _ROUNDS
    ):
        before = time.perf_counter()
        model.raw(*arrays)
        times.append((time.perf_counter() - before) * 1e3)
    return times


def _latency(model: Model, rounds: Sequence[Sequence[float]]) -> Latency:
    times = [each for own in rounds for each in own]
    return Latency(
        median_ms=round(float(np.median(times)), 3),
        p95_ms=round(float(np.percentile(times, 95)), 3),
        runs=len(times),
        engine=f"{model.engine} {model.version}",
        rounds_ms=tuple(round(float(np.median(own)), 3) for own in rounds),
    )
