"""What infer.py prints on a device -> numbers and sentences that may be believed to be such."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from edgeconv.device.transports.process import Completed, last_line
from edgeconv.errors import (
    EdgeconvError,
    HostFailure,
    InternalError,
    RefusedInput,
    Unsupported,
    UsageError,
)
from edgeconv.pictures import printable

__all__ = ["costs_of", "failure_of"]

_MAX_TEXT = 300
#: No time, count or size of a device comes near it.
_LARGEST = 1e15
#: The device's word for what went wrong -> ours. Where it lacks an engine, that is
#: nothing which could be installed here.
_KINDS: Mapping[str, type[EdgeconvError]] = {
    "usage": UsageError,
    "refused-input": RefusedInput,
    "unsupported": Unsupported,
    "missing-dependency": Unsupported,
    "host": HostFailure,
}
_SIGNALS = {4: "an illegal instruction", 6: "an abort", 9: "being killed", 11: "a crash"}


def costs_of(target: str, stdout: bytes) -> dict[str, Any]:
    """The JSON object that infer.py prints, with the keys of docs/runtime.md and no other.

    Raises:
        RefusedInput: It is another.
    """
    table = _last_object(stdout)
    try:
        return {key: read(table[key]) for key, read in _FIELDS.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise RefusedInput(f"{target} answers with something else than costs: {error}.") from None


def failure_of(target: str, done: Completed) -> EdgeconvError:
    """Why infer.py ended as it did."""
    problem = _last_object(done.stdout).get("error")
    if isinstance(problem, dict):
        message, hint = _shown(problem.get("message")), _shown(problem.get("hint"))
        kind = _KINDS.get(str(problem.get("code")), InternalError)
        return kind(f"On {target}: {message}", f"There: {hint}" if hint else "")
    number = -done.code if done.code < 0 else done.code - 128
    if number in _SIGNALS:
        return Unsupported(
            f"infer.py ended on {target} with {_SIGNALS[number]} (signal {number}).",
            "Its memory may be too small, or its engine may not suit its processor: "
            "try another --engine.",
        )
    cause = _shown(last_line(done.stderr)) or f"it ended with {done.code}"
    return Unsupported(f"infer.py does not run on {target}: {cause.rstrip('.')}.")


def _last_object(stdout: bytes) -> dict[str, Any]:
    """The object in the last line; engines may have printed above it."""
    lines = stdout.strip().splitlines()
    try:
        table = json.loads(lines[-1]) if lines else None
    except (ValueError, RecursionError):
        table = None
    return table if isinstance(table, dict) else {}


def _shown(value: object) -> str:
    return printable(str(value or ""))[:_MAX_TEXT]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is none")
    return _shown(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number is none")
    if not 0 <= value < _LARGEST:  # NaN is neither
        raise ValueError("a number is out of all bounds")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError("a count is none")
    return int(_number(value))


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _object(fields: Mapping[str, Callable[[Any], Any]]) -> Callable[[Any], dict[str, Any]]:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise TypeError("an object is none")
        return {key: each(value[key]) for key, each in fields.items()}

    return read


_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "file": _text,
    "engine": _object({"name": _text, "version": _text}),
    "device": _text,
    "fallback": _optional(_text),
    "python": _text,
    "numpy": _text,
    "machine": _text,
    "system": _text,
    "threads": _count,
    "batch": _count,
    "samples": _count,
    "load_ms": _number,
    "latency_ms": _object({"median": _number, "p95": _number, "calls": _count}),
    "items_per_s": _number,
    "peak_memory_kib": _optional(_count),
}
