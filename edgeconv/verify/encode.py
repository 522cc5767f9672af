"""Verdict <-> verdict.json (schema_version 1).

    {"schema_version": 1, "status", "samples", "gate",
     "artifacts": [{"file", "format", "precision", "status", "equivalent", "reason",
                    "needed", "gated", "limit",
                    "metrics": {"top1": 83.2, "top1_drop": {"estimate", "ci95": [lo, hi],
                                "upper95", "lower95"}, "sqnr_db": null, ...},
                    "checks": [{"metric", "limit", "at_most", "status", "reason", "needed"}],
                    "suspicions": ["Looks like BGR input: ..."],
                    "evidence": ["KL divergence 0.02 nats ..."],
                    "layers": [{"name", "sqnr_db", ...}]}]}

``checks``, ``suspicions`` and ``evidence`` may be absent: files from before they existed
are read too.

Numbers keep six significant digits: more than anyone can use, and few enough
that the last bits of a sum don't change the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, cast, get_args

from edgeconv.errors import RefusedInput
from edgeconv.types import (
    ArtifactVerdict,
    Check,
    Format,
    Interval,
    MetricValue,
    Precision,
    Status,
    Verdict,
)

__all__ = [
    "SCHEMA_VERSION",
    "verdict_from_json",
    "verdict_from_text",
    "verdict_to_json",
    "verdict_to_text",
]

SCHEMA_VERSION = 1

#: A verdict is a few kilobytes; layers of a large model, a few hundred.
_MOST_BYTES = 16 * 2**20
_DIGITS = 6


def verdict_to_text(verdict: Verdict) -> str:
    """The text of verdict.json: the same verdict gives the same bytes."""
    return (
        json.dumps(verdict_to_json(verdict), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def verdict_from_text(text: str | bytes) -> Verdict:
    """The verdict that stands in a verdict.json.

    Raises:
        RefusedInput: It isn't one.
    """
    if len(text) > _MOST_BYTES:
        raise _refused("it is larger than any verdict")
    try:
        # NaN and Infinity are no JSON, though Python's reader takes them.
        document = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _refused("it is no JSON") from error
    return verdict_from_json(document)


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """The contract's dict: percent and points, numbers rounded."""
    return {
        "schema_version": SCHEMA_VERSION,
        "status": verdict.status,
        "samples": verdict.samples,
        "gate": verdict.gate,
        "artifacts": [_encode_artifact(artifact) for artifact in verdict.artifacts],
    }


def verdict_from_json(document: object) -> Verdict:
    """The inverse of ``verdict_to_json``, for a document that anyone may have written.

    Raises:
        RefusedInput: A field is missing, unknown, or of another type.
    """
    fields = _object(document, "", _TOP)
    if fields["schema_version"] != SCHEMA_VERSION:
        raise _refused(f"its schema_version is not {SCHEMA_VERSION}")
    artifacts = tuple(
        _decode_artifact(each, f"artifacts[{i}]") for i, each in enumerate(fields["artifacts"])
    )
    return Verdict(_status(fields["status"]), fields["samples"], fields["gate"], artifacts)


_TOP = {"schema_version": int, "status": str, "samples": int, "gate": str, "artifacts": list}
_ARTIFACT: dict[str, type | tuple[type, ...]] = {
    "file": str,
    "format": str,
    "precision": str,
    "status": str,
    "equivalent": bool,
    "reason": str,
    "needed": (int, type(None)),
    "gated": str,
    "limit": (int, float, type(None)),
    "metrics": dict,
    "checks": list,
    "suspicions": list,
    "evidence": list,
    "layers": list,
}
_CHECK: dict[str, type | tuple[type, ...]] = {
    "metric": str,
    "limit": (int, float),
    "at_most": bool,
    "status": str,
    "reason": str,
    "needed": (int, type(None)),
}
_INTERVAL: dict[str, type | tuple[type, ...]] = {
    "estimate": (int, float),
    "ci95": list,
    "lower95": (int, float),
    "upper95": (int, float),
}


def _encode_artifact(artifact: ArtifactVerdict) -> dict[str, Any]:
    return {
        "file": artifact.file,
        "format": artifact.format,
        "precision": artifact.precision,
        "status": artifact.status,
        "equivalent": artifact.equivalent,
        "reason": artifact.reason,
        "needed": artifact.needed,
        "gated": artifact.gated,
        "limit": _number(artifact.limit),
        "metrics": {name: _metric(value) for name, value in artifact.metrics.items()},
        "checks": [_encode_check(check) for check in artifact.checks],
        "suspicions": list(artifact.suspicions),
        "evidence": list(artifact.evidence),
        "layers": [_rounded(layer) for layer in artifact.layers],
    }


def _encode_check(check: Check) -> dict[str, Any]:
    return {
        "metric": check.metric,
        "limit": _number(check.limit),
        "at_most": check.at_most,
        "status": check.status,
        "reason": check.reason,
        "needed": check.needed,
    }


def _metric(value: MetricValue) -> float | dict[str, Any] | None:
    if not isinstance(value, Interval):
        return _number(value)
    return {
        "estimate": _number(value.estimate),
        "ci95": [_number(bound) for bound in value.ci95],
        "lower95": _number(value.lower95),
        "upper95": _number(value.upper95),
    }


def _rounded(value: object) -> object:
    """Plain JSON types, numbers rounded however deep they stand."""
    if isinstance(value, Mapping):
        return {str(name): _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return _number(value) if isinstance(value, float) else value


def _number(value: float | None) -> float | None:
    """Rounded; None where it isn't finite, since JSON has no name for that."""
    if value is None or not math.isfinite(value):
        return None
    # + 0.0 turns -0.0 into 0.0.
    return float(f"{value:.{_DIGITS}g}") + 0.0


def _decode_artifact(document: object, where: str) -> ArtifactVerdict:
    later: dict[str, list[object]] = {"checks": [], "suspicions": [], "evidence": []}
    whole = {**later, **document} if isinstance(document, dict) else document
    fields = _object(whole, where, _ARTIFACT)
    if fields["format"] not in get_args(Format) or fields["precision"] not in get_args(Precision):
        raise _refused(f"{where} is of an unknown format or precision")
    layers = [
        _object(layer, f"{where}.layers[{i}]", {}, open_ended=True)
        for i, layer in enumerate(fields["layers"])
    ]
    metrics = {
        name: _decode_metric(value, f"{where}.metrics.{name}")
        for name, value in fields["metrics"].items()
    }
    return ArtifactVerdict(
        file=fields["file"],
        format=cast(Format, fields["format"]),
        precision=cast(Precision, fields["precision"]),
        status=_status(fields["status"]),
        equivalent=fields["equivalent"],
        reason=fields["reason"],
        metrics=metrics,
        needed=fields["needed"],
        layers=tuple(layers),
        suspicions=tuple(_texts(fields["suspicions"], f"{where}.suspicions")),
        evidence=tuple(_texts(fields["evidence"], f"{where}.evidence")),
        checks=tuple(
            _decode_check(each, f"{where}.checks[{i}]") for i, each in enumerate(fields["checks"])
        ),
        gated=fields["gated"],
        limit=None if fields["limit"] is None else _finite(fields["limit"], f"{where}.limit"),
    )


def _decode_check(document: object, where: str) -> Check:
    fields = _object(document, where, _CHECK)
    return Check(
        metric=fields["metric"],
        limit=_finite(fields["limit"], f"{where}.limit"),
        at_most=fields["at_most"],
        status=_status(fields["status"]),
        reason=fields["reason"],
        needed=fields["needed"],
    )


def _texts(values: list[object], where: str) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise _refused(f"{where} holds something else than text")
    return [str(value) for value in values]


def _decode_metric(value: object, where: str) -> MetricValue:
    if value is None:
        return None
    if not isinstance(value, dict):
        return _finite(value, where)
    fields = _object(value, where, _INTERVAL)
    if len(fields["ci95"]) != 2:
        raise _refused(f"{where}.ci95 is no pair")
    low, high = (_finite(bound, f"{where}.ci95") for bound in fields["ci95"])
    estimate, lower, upper = (
        _finite(fields[name], f"{where}.{name}") for name in ("estimate", "lower95", "upper95")
    )
    return Interval(estimate, (low, high), lower, upper)


def _finite(value: object, where: str) -> float:
    # An integer of 400 digits is JSON too, and 1e999 reads as infinity.
    if not _is(value, (int, float)) or not abs(cast(float, value)) < 1e300:
        raise _refused(f"{where} is no number")
    return float(cast(float, value))


def _object(
    document: object,
    where: str,
    expected: Mapping[str, type | tuple[type, ...]],
    open_ended: bool = False,
) -> dict[str, Any]:
    """``document`` as a dict with exactly the expected fields, each of its type."""
    name = where or "it"
    if not isinstance(document, dict):
        raise _refused(f"{name} is no object")
    if not open_ended and document.keys() != expected.keys():
        stray = sorted(document.keys() ^ expected.keys())[0]
        raise _refused(f"{name} lacks or shouldn't have the field {stray[:40]!r}")
    for field, types in expected.items():
        if not _is(document[field], types):
            raise _refused(f"{name} has a wrong type of {field}")
    return document


def _is(value: object, types: type | tuple[type, ...]) -> bool:
    """isinstance, but True is no number."""
    if isinstance(value, bool):
        return types is bool
    return isinstance(value, types)


def _status(text: str) -> Status:
    if text not in get_args(Status):
        raise _refused(f"{text[:20]!r} is no status")
    return cast(Status, text)


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _refused(why: str) -> RefusedInput:
    return RefusedInput(
        f"verdict.json can't be read: {why}.", "Export again, or use the version that wrote it."
    )
