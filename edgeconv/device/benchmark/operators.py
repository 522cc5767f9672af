"""The engine's own profile of a bundle, by Keras layer.

Nodes and tensors of an export are named after layers, and ONNX Runtime keeps a node's
name through its fusions, with an ending of its own:

    block_1_project/Conv_token_17   ->  block_1_project
    Conv1_relu/Clip_nchwc           ->  Conv1_relu
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from edgeconv.device.benchmark.places import Place
from edgeconv.device.benchmark.request import BenchRequest
from edgeconv.device.benchmark.rounds import Measured, arguments
from edgeconv.runtime.operators import why_no_profile

__all__ = ["OperatorTime", "Profile", "layer_of_node", "read_profile"]

_ENDINGS = re.compile(r"(_token_\d+|_nchwc|_quant|_fused|_dequant)+$")
_CALLS = 20
_MOST_ROWS = 100_000


@dataclass(frozen=True)
class OperatorTime:
    """One operator; ``ms`` is the median of a call, ``percent`` its part of all operators."""

    layer: str
    node: str
    op: str
    provider: str
    ms: float
    percent: float


@dataclass(frozen=True)
class Profile:
    """Operators in the order in which they ran; none, and ``note`` why, where nobody tells."""

    rows: tuple[OperatorTime, ...]
    note: str


def read_profile(place: Place, measured: Measured, request: BenchRequest) -> Profile:
    """Run a case once more, under its engine's profile.

    Args:
        place: Where it was measured.
        measured: The case.
        request: Its calls are not more than 20.

    Raises:
        EdgeconvError: The place answered nonsense.
    """
    if why_not := why_no_profile(measured.about["engine"]["name"], measured.about["device"]):
        return Profile((), why_not)
    case = measured.case
    calls = min(request.repeat or _CALLS, measured.runs[0].calls, _CALLS)
    words = [word for word in arguments(case, request, calls) if word != "--bind"]
    reply = place.run(case.subject, case.engine, [*words, "--profile"])
    rows = reply.get("operators")
    if not isinstance(rows, list):
        return Profile((), str(reply.get("operators_note") or "The engine told nothing.")[:400])
    known = [row for row in rows[:_MOST_ROWS] if _is_row(row)]
    total = sum(row["ms"] for row in known) or 1.0
    return Profile(tuple(_time(row, total) for row in known), "")


def layer_of_node(node: str) -> str:
    """The layer that a node's name begins with; the whole name where it has no path."""
    path, _, _ = _ENDINGS.sub("", node).rpartition("/")
    return path or node


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and all(isinstance(row.get(key), str) for key in ("node", "op", "provider"))
        and isinstance(row.get("ms"), int | float)
        and 0 <= row["ms"] < 1e9
    )


def _time(row: dict[str, Any], total: float) -> OperatorTime:
    node = row["node"][:400]
    return OperatorTime(
        layer=layer_of_node(node),
        node=node,
        op=row["op"][:100],
        provider=row["provider"].removesuffix("ExecutionProvider")[:100],
        ms=float(row["ms"]),
        percent=round(100.0 * row["ms"] / total, 2),
    )
