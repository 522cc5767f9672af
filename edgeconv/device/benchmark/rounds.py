"""Rounds: every case once a round, each time in a fresh process, there and back.

round 1   a b c
round 2   c b a
round 3   a b c

What slows the machine down for a while slows all cases down alike, and what a case
leaves behind (caches, clock speed) meets another one the next time.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgeconv.device.benchmark.places import Place
from edgeconv.device.benchmark.request import BenchRequest, Case
from edgeconv.errors import RefusedInput

__all__ = ["Measured", "Run", "measure_rounds"]

#: Timed calls of one measurement should take about this long, within the two counts.
_BUDGET_MS = 1000.0
_FEWEST_CALLS, _MOST_CALLS = 10, 200
#: No time, count or size of a device lies beyond: their ratios stay finite, and above 0.
_SMALLEST, _LARGEST = 1e-6, 1e12


@dataclass(frozen=True)
class Run:
    """One process's measurement; memory in KiB, None where its system doesn't tell."""

    median_ms: float
    p95_ms: float
    calls: int
    load_ms: float
    first_call_ms: float | None
    peak_memory_kib: float | None


@dataclass(frozen=True)
class Measured:
    """A case and its runs.

    Attributes:
        case: What was asked for.
        about: The last process's own words: ``file``, ``engine``, ``device``, ``machine`` ...
        runs: One a round.
    """

    case: Case
    about: dict[str, Any]
    runs: tuple[Run, ...]

    @property
    def median_ms(self) -> float:
        """The median of the rounds' medians."""
        return statistics.median(run.median_ms for run in self.runs)

    @property
    def p95_ms(self) -> float:
        """The median of the rounds' 95th percentiles."""
        return statistics.median(run.p95_ms for run in self.runs)

    @property
    def engine(self) -> str:
        """Name and version."""
        engine = self.about["engine"]
        return f"{engine['name']} {engine['version']}"


def measure_rounds(
    place: Place, cases: Sequence[Case], request: BenchRequest, advance: Callable[[], None]
) -> list[Measured]:
    """Measure all cases, in the order given.

    Args:
        place: Where.
        cases: What.
        request: Rounds, calls and warm-up.
        advance: Called after each process.

    Raises:
        EdgeconvError: A case can't be run.
    """
    repeats = _repeats(place, cases, request, advance)
    runs: list[list[Run]] = [[] for _ in cases]
    about: list[dict[str, Any]] = [{} for _ in cases]
    for number in range(request.rounds):
        order = range(len(cases))
        for i in order if number % 2 == 0 else reversed(order):
            case = cases[i]
            reply = place.run(case.subject, case.engine, arguments(case, request, repeats[i]))
            runs[i].append(_run(reply))
            about[i] = _about(reply)
            advance()
    return [Measured(case, about[i], tuple(runs[i])) for i, case in enumerate(cases)]


def arguments(case: Case, request: BenchRequest, repeat: int) -> list[str]:
    """What ``infer.py`` is called with."""
    words = ["--bench", "--json", "--repeat", str(repeat), "--warmup", str(request.warmup)]
    words += ["--threads", str(case.threads), "--batch", str(case.batch)]
    words += ["--device", request.device]
    words += ["--engine", case.engine] if case.engine else []
    words += ["--allow-fallback"] if request.allow_fallback else []
    return words + (["--bind"] if request.bind else [])


def _repeats(
    place: Place, cases: Sequence[Case], request: BenchRequest, advance: Callable[[], None]
) -> list[int]:
    """How many calls each case gets, from one short run of each file.

    It also reads every file once before any load is timed.
    """
    found: list[int] = []
    guesses: dict[tuple[str, str | None], float] = {}
    for case in cases:
        key = (case.subject.name, case.engine)
        if key not in guesses:
            reply = place.run(case.subject, case.engine, arguments(case, request, 3))
            guesses[key] = _run(reply).median_ms / case.batch
            advance()
        calls = math.ceil(_BUDGET_MS / max(1e-3, guesses[key] * case.batch))
        found.append(request.repeat or min(_MOST_CALLS, max(_FEWEST_CALLS, calls)))
    return found


def _run(reply: dict[str, Any]) -> Run:
    latency = reply.get("latency_ms")
    if not isinstance(latency, dict):
        raise _nonsense("latency_ms")
    return Run(
        median_ms=_number(latency, "median"),
        p95_ms=_number(latency, "p95"),
        calls=int(_number(latency, "calls")),
        load_ms=_number(reply, "load_ms"),
        first_call_ms=_number_or_none(reply, "first_call_ms"),
        peak_memory_kib=_number_or_none(reply, "peak_memory_kib"),
    )


def _about(reply: dict[str, Any]) -> dict[str, Any]:
    """The facts of a reply, each a short text."""
    engine = reply.get("engine")
    if not isinstance(engine, dict):
        raise _nonsense("engine")
    words = ("file", "precision", "device", "python", "machine", "system", "fallback")
    found: dict[str, Any] = {key: _text(reply.get(key)) for key in words}
    found["engine"] = {key: _text(engine.get(key)) or "unknown" for key in ("name", "version")}
    if found["file"] is None:
        raise _nonsense("file")
    return found


def _text(value: Any) -> str | None:
    return value[:400] if isinstance(value, str) else None


def _number(table: dict[str, Any], key: str) -> float:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _nonsense(key)
    if not _SMALLEST <= value < _LARGEST:  # NaN is neither
        raise _nonsense(key)
    return float(value)


def _number_or_none(table: dict[str, Any], key: str) -> float | None:
    return None if table.get(key) is None else _number(table, key)


def _nonsense(key: str) -> RefusedInput:
    return RefusedInput(f"infer.py told no {key} that can be.", "Export the bundle again.")
