"""How long each operator takes, where the engine has a profile of its own.

    onnxruntime      a trace of every node of every call (SessionOptions.enable_profiling)
    litert           none: its Interpreter and CompiledModel have no method that starts or
    tflite-runtime   reads a profile; TFLite's profiler is reached from C++ alone

A trace slows the calls that it is made of down, so a session of its own is opened
for it. Source: onnxruntime/core/common/profiler.cc; ``dur`` is in microseconds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.runtime.session import Session, open_artifact
from edgeconv.types import Array

__all__ = ["operator_rows", "operator_times", "why_no_profile"]

_SUFFIX = "_kernel_time"
#: Calls before those that count: the first ones touch new memory.
_FIRST_CALLS = 3
#: ONNX Runtime keeps at most a million events, and a model may have thousands of nodes.
_MOST_CALLS = 20


def operator_times(
    session: Session, x: Sequence[Array], threads: int, calls: int
) -> tuple[Optional[list[dict[str, Any]]], str]:
    """Run ``x`` a few times under the engine's profile.

    Args:
        session: Open; it is left as it is.
        x: One array an input, in the file's own dtypes.
        threads: Of one inference.
        calls: That are averaged; no more than 20 are made.

    Returns:
        A row an operator in the order in which they ran, and "", or None and a
        sentence that says why there is no profile.
    """
    engine = session.model.engine
    why_not = why_no_profile(engine, session.model.device)
    if why_not:
        return None, why_not
    calls = min(calls, _MOST_CALLS)
    with tempfile.TemporaryDirectory(prefix="edgeconv-") as folder:
        model = open_artifact(
            session.folder, session.artifact, engine, threads, profile=str(Path(folder) / "trace")
        )
        for _ in range(_FIRST_CALLS + calls):
            model.raw(*x)
        return operator_rows(Path(model.end_profiling()).read_text("utf-8"), calls), ""


def why_no_profile(engine: str, device: str) -> str:
    """Why an engine tells nothing of its operators there, as one sentence; "" where it does."""
    if engine != "onnxruntime":
        return f"{engine} has no profile of operators in its Python interface."
    if device != "cpu":
        return (
            "On a GPU ONNX Runtime's profile tells when operators were handed over, "
            "not how long they took."
        )
    return ""


def operator_rows(trace: str, calls: int) -> list[dict[str, Any]]:
    """Read a trace of ONNX Runtime.

    Args:
        trace: The file's text: a JSON list of events.
        calls: The last ones of the trace, which are read.

    Returns:
        ``node``, ``op``, ``provider`` and ``ms``, the median over the calls.

    Raises:
        Unsupported: The engine wrote something else.
    """
    times: dict[str, list[float]] = {}
    about: dict[str, dict[str, Any]] = {}
    try:
        for event in json.loads(trace):
            name = event["name"]
            if event["cat"] == "Node" and name.endswith(_SUFFIX):
                node = name[: -len(_SUFFIX)]
                times.setdefault(node, []).append(event["dur"] / 1e3)
                about[node] = event["args"]
        return [
            {
                "node": node,
                "op": str(about[node]["op_name"]),
                "provider": str(about[node]["provider"]),
                "ms": round(float(np.median(spent[-calls:])), 4),
            }
            for node, spent in times.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unsupported(f"This ONNX Runtime's profile can't be read: {error}") from error
