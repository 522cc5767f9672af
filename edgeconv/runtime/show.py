"""Answers as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from edgeconv.pictures import printable
from edgeconv.runtime.answers import Answer, Prediction
from edgeconv.runtime.replay import Replay
from edgeconv.runtime.session import Session

__all__ = [
    "answer_as_text",
    "answers_as_json",
    "costs_as_text",
    "replays_as_json",
    "replays_as_text",
]

#: Values of an embedding that fit on a line.
_SHOWN_VALUES = 6


def answer_as_text(session: Session, answer: Answer, count: int) -> str:
    """The ``count`` best classes of one answer as a table; its values where it has no classes."""
    name = printable(answer.source)
    if session.manifest.task != "classification":
        return "\n".join([name, *(_values(y) for y in answer.outputs)])
    rows = session.top(answer, count)
    width = max((len(row.label) for row in rows), default=0)
    return "\n".join([name, *(_row(i, row, width) for i, row in enumerate(rows, 1))])


def _row(rank: int, row: Prediction, width: int) -> str:
    value = f"{row.score:10.4g}"
    if row.probability is not None:
        value = f"{100.0 * row.probability:6.2f} %"
    return f"  {rank:>3}  {row.label:<{width}}  {value}"


def _values(y: Any) -> str:
    flat = np.ravel(y)
    shown = " ".join(f"{value:.4g}" for value in flat[:_SHOWN_VALUES])
    more = " ..." if flat.size > _SHOWN_VALUES else ""
    return f"  {list(y.shape)}  {shown}{more}"


def answers_as_json(session: Session, answers: Iterable[Answer], count: int) -> dict[str, Any]:
    """All answers as one JSON object; probabilities in [0, 1]."""
    return {
        "schema_version": 1,
        "model": session.manifest.name,
        "precision": session.manifest.precision,
        "task": session.manifest.task,
        "file": session.artifact.file,
        "engine": {"name": session.model.engine, "version": session.model.version},
        "device": session.model.device,
        "fallback": session.model.note or None,
        "results": [_result(session, answer, count) for answer in answers],
    }


def _result(session: Session, answer: Answer, count: int) -> dict[str, Any]:
    if session.manifest.task == "classification":
        top = [row.__dict__ for row in session.top(answer, count)]
        return {"input": answer.source, "top": top}
    outputs = [
        {"name": spec.name, "shape": list(y.shape), "values": y.ravel().tolist()}
        for spec, y in zip(session.manifest.outputs, answer.outputs)
    ]
    return {"input": answer.source, "outputs": outputs}


def costs_as_text(costs: dict[str, Any]) -> str:
    """What ``measure`` found, for people."""
    engine, latency, peak = costs["engine"], costs["latency_ms"], costs["peak_memory_kib"]
    lines = [
        f"{costs['file']}  {engine['name']} {engine['version']} on {costs['device']}, "
        f"threads {costs['threads']}, batch {costs['batch']}",
        f"  load       {costs['load_ms']:10.2f} ms",
        f"  latency    {latency['median']:10.2f} ms median, {latency['p95']:.2f} ms p95, "
        f"{latency['calls']} calls",
        f"  throughput {costs['items_per_s']:10.1f} items/s",
    ]
    if peak is not None:
        lines.append(f"  memory     {peak / 1024:10.1f} MiB at most")
    return "\n".join(lines)


def replays_as_text(replays: Sequence[Replay]) -> str:
    """The self-test's outcome, a line a model file."""
    return "\n".join(
        f"{'pass' if r.passed else 'FAIL'}  {r.file}  {r.engine} {r.version}  {r.samples} inputs, "
        f"largest difference {r.difference:.3g}, allowed {r.tolerance:.3g}"
        for r in replays
    )


def replays_as_json(replays: Sequence[Replay]) -> dict[str, Any]:
    """The self-test's outcome as one JSON object."""
    rows = [{**replay.__dict__, "passed": replay.passed} for replay in replays]
    return {
        "schema_version": 1,
        "passed": all(replay.passed for replay in replays),
        "self_test": rows,
    }
