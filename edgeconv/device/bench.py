"""bench.json: the latency of each artifact here, its float form beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from edgeconv.device.latency import measure_in_turn
from edgeconv.device.machine import machine
from edgeconv.device.slower import advice, operators_to_blame
from edgeconv.runtime.engines import Model, open_model
from edgeconv.types import Array, Artifact

__all__ = ["bench"]

_SCHEMA_VERSION = 1

Made = tuple[Artifact, Model]


def bench(
    made: Sequence[Made], floats: Sequence[Made], x: Sequence[Array], threads: int = 1
) -> dict[str, Any]:
    """Time each artifact and its float form, in turn.

    Args:
        made: The artifacts, each with what runs it.
        floats: Their float forms, in the same order.
        x: One float32 array a model input, [1, ...].
        threads: Of one inference.

    Returns:
        The content of ``bench.json``; times in milliseconds. ``advice`` has a sentence for
        each artifact that was slower than its float form in every round.
    """
    rows = [_row(one, other, x, threads) for one, other in zip(made, floats, strict=True)]
    return {
        "schema_version": _SCHEMA_VERSION,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "artifacts": rows,
        "advice": advice(rows),
    }


def _row(one: Made, other: Made, x: Sequence[Array], threads: int) -> dict[str, Any]:
    artifact, model = one[0], _with(threads, *one)
    pair = [model]
    if artifact.precision != "fp32":
        pair.append(_with(threads, *other))
    latency, *beside = measure_in_turn(pair, x)
    row: dict[str, Any] = {
        "file": artifact.path.name,
        "precision": artifact.precision,
        "engine": latency.engine,
        "threads": threads,
        "runs": latency.runs,
        "latency_ms_median": latency.median_ms,
        "latency_ms_p95": latency.p95_ms,
    }
    for reference in beside:
        pairs = list(zip(latency.rounds_ms, reference.rounds_ms, strict=True))
        row["float_latency_ms_median"] = reference.median_ms
        row["rounds"] = len(pairs)
        row["rounds_faster_than_float"] = sum(mine < its for mine, its in pairs)
        if not row["rounds_faster_than_float"]:
            row["operators_to_blame"] = operators_to_blame(artifact, other[0], x, threads)
    return row


def _with(threads: int, artifact: Artifact, model: Model) -> Model:
    """``model``, opened anew where it is to have more than its one thread."""
    if threads == 1:
        return model
    data = artifact.path.read_bytes()
    return open_model(
        data, artifact.format, artifact.inputs, artifact.outputs, model.engine, threads
    )
