"""Recovery -> recovery.json and what bench.json says of it.

    {"schema_version": 1, "effort", "ended", "calibrated_on": N, "held_back": N,
     "rungs": [{"name", "what", "kept", "failed": why it could not be made, or "",
                "layers": [those that it keeps in float as one],
                "artifacts": [{"format", "holds", "bytes", "reason", "exceeds": [...],
                               "expected_drop": points or null,
                               "metrics": {"agreement": %, "mean_kl": nats, "sqnr_db": dB,
                                           "top1_drop": {"estimate", "ci95": [lo, hi]}, ...}}]}],
     "layers": [{"name", "formats": [...], "alone_db", "without_db",
                 "together": layers that alone_db was asked of together}]}

Times stand in bench.json alone, so that the same search gives the same recovery.json:

    "search": [{"name", "seconds", "latency_ms": {"tflite": 3.2, ...}}]
"""

from __future__ import annotations

import math
from typing import Any, Final

from edgeconv.recover.account import Recovery, Tried
from edgeconv.recover.sensitivity import Sensitivity, decibels
from edgeconv.recover.trial import Score
from edgeconv.types import Interval, MetricValue

__all__ = ["recovery_to_json", "timings"]

_SCHEMA_VERSION: Final = 1
#: More than anyone can use, and few enough that the last bits of a sum change nothing.
_DIGITS: Final = 6
#: Of all metrics, what tells rungs apart.
_TOLD: Final = (
    "top1", "top1_reference", "top1_drop", "agreement", "mean_kl",
    "relative_error", "cosine_mean", "sqnr_db",
)  # fmt: skip


def recovery_to_json(recovery: Recovery, *, calibrated: int, held: int) -> dict[str, Any]:
    """The content of recovery.json.

    Args:
        recovery: What the search found.
        calibrated: Items that it calibrated on.
        held: Items that it judged on.
    """
    formats = [artifact.format for artifact in recovery.artifacts]
    layers = [_layer(each, recovery, formats) for each in recovery.sensitivity]
    return {
        "schema_version": _SCHEMA_VERSION,
        "effort": recovery.effort,
        "ended": recovery.ended,
        "calibrated_on": calibrated,
        "held_back": held,
        "rungs": [_rung(tried) for tried in recovery.tried],
        "layers": [row for row in layers if row["formats"] or row["together"] == 1],
    }


def timings(recovery: Recovery) -> dict[str, Any]:
    """What bench.json says of the search."""
    return {
        "search": [
            {
                "name": tried.name,
                "seconds": round(tried.seconds, 2),
                "latency_ms": {s.format: round(s.latency_ms, 2) for s in tried.trial.scores},
            }
            for tried in recovery.tried
        ]
    }


def _rung(tried: Tried) -> dict[str, Any]:
    return {
        "name": tried.name,
        "what": tried.what,
        "kept": tried.kept,
        "failed": tried.failed,
        "layers": list(tried.layers),
        "artifacts": [_score(score) for score in tried.trial.scores],
    }


def _score(score: Score) -> dict[str, Any]:
    return {
        "format": score.format,
        "holds": score.holds,
        "reason": score.reason,
        "exceeds": [each for each in score.exceeds if "slower" not in each],
        "bytes": score.artifact.size_bytes,
        "expected_drop": _rounded(score.expected_drop),
        "metrics": {name: _metric(score.metrics[name]) for name in _TOLD if name in score.metrics},
    }


def _layer(each: Sensitivity, recovery: Recovery, formats: list[Any]) -> dict[str, Any]:
    kept = [f for f in formats if recovery.recipe.precision_of(each.layer, f) == "fp32"]
    return {
        "name": each.layer,
        "formats": kept,
        "alone_db": _rounded(decibels(each.alone)),
        "without_db": _rounded(decibels(each.without)),
        "together": each.block,
    }


def _metric(value: MetricValue) -> Any:
    if not isinstance(value, Interval):
        return _rounded(value)
    return {"estimate": _rounded(value.estimate), "ci95": [_rounded(end) for end in value.ci95]}


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}") + 0.0
