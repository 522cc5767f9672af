"""bench.json: the latency of each artifact here, its float form beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from edgeconv.device.latency import measure
from edgeconv.device.machine import machine
from edgeconv.runtime.engines import Model, open_model
from edgeconv.types import Array, Artifact

__all__ = ["bench"]

_SCHEMA_VERSION = 1


def bench(
    made: Sequence[tuple[Artifact, Model]],
    floats: Sequence[tuple[Artifact, Model]],
    x: Sequence[Array],
    threads: int = 1,
) -> dict[str, Any]:
    """Time each artifact and its float form, one after the other.

    Args:
        made: The artifacts, each with what runs it.
        floats: Their float forms, in the same order.
        x: One float32 array a model input, [1, ...].
        threads: Of one inference.

    Returns:
        The content of ``bench.json``; times in milliseconds.
    """
    rows = []
    for (artifact, model), (float_artifact, reference) in zip(made, floats, strict=True):
        latency = measure(_with(threads, artifact, model), x)
        row: dict[str, Any] = {
            "file": artifact.path.name,
            "engine": latency.engine,
            "threads": threads,
            "runs": latency.runs,
            "latency_ms_median": latency.median_ms,
            "latency_ms_p95": latency.p95_ms,
        }
        if artifact.precision != "fp32":
            row["float_latency_ms_median"] = measure(
                _with(threads, float_artifact, reference), x
            ).median_ms
        rows.append(row)
    return {
        "schema_version": _SCHEMA_VERSION,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "artifacts": rows,
    }


def _with(threads: int, artifact: Artifact, model: Model) -> Model:
    """``model``, opened anew where it is to have more than its one thread."""
    if threads == 1:
        return model
    data = artifact.path.read_bytes()
    return open_model(
        data, artifact.format, artifact.inputs, artifact.outputs, model.engine, threads
    )
