"""Benchmark: request -> the content of a JSON file.

subjects ──► cases ──► rounds ──► a row each ──► sentences
                         └──► the profile of each file
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from edgeconv.device.benchmark.findings import findings
from edgeconv.device.benchmark.operators import Profile, read_profile
from edgeconv.device.benchmark.places import Place, enter
from edgeconv.device.benchmark.request import BenchRequest, cases, read_subjects
from edgeconv.device.benchmark.rounds import Measured, Run, measure_rounds
from edgeconv.device.machine import has_int8_dot_product, machine
from edgeconv.progress import Progress

__all__ = ["benchmark"]

_SCHEMA_VERSION = 1


def benchmark(request: BenchRequest, progress: Progress) -> dict[str, Any]:
    """Measure, profile and compare.

    Args:
        request: What and where.
        progress: Told of every process.

    Returns:
        A JSON object; times in milliseconds, memory in KiB. docs/bench.md has its keys.

    Raises:
        UsageError: The request contradicts itself or the bundles.
        RefusedInput: A bundle was changed, or the target answered nonsense.
        MissingDependency: No engine, or the device does not start.
        Unsupported: An engine or device can't run a file.
        HostFailure: The target can't be reached.
    """
    subjects = read_subjects(request.bundles)
    found = cases(request, subjects)
    files = {(case.subject.name, case.engine) for case in found}
    with enter(request, subjects) as place:
        progress.stage("measure", len(files) + request.rounds * len(found))
        measured = measure_rounds(place, found, request, progress.advance)
        profiles = _profiles(place, measured, request, progress) if request.profile else {}
    slow_cpu = request.on is None and not has_int8_dot_product()
    emulated = (request.on or "").startswith("qemu:")
    return {
        "schema_version": _SCHEMA_VERSION,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "target": request.on or "here",
        "machine": machine() if request.on in (None, "local") else _machine_there(measured),
        "rounds": request.rounds,
        "warmup": request.warmup,
        "rows": [_row(one, request) for one in measured],
        "operators": [_operators(measured[i], found) for i, found in profiles.items()],
        "findings": findings(measured, profiles, slow_cpu, emulated),
    }


def _profiles(
    place: Place, measured: Sequence[Measured], request: BenchRequest, progress: Progress
) -> dict[int, Profile]:
    """Index -> profile of each file's first case."""
    first: dict[tuple[str, str], int] = {}
    for i, one in enumerate(measured):
        first.setdefault((one.case.subject.name, one.engine), i)
    progress.stage("profile operators", len(first))
    profiles = {}
    for i in first.values():
        profiles[i] = read_profile(place, measured[i], request)
        progress.advance()
    return profiles


def _row(one: Measured, request: BenchRequest) -> dict[str, Any]:
    median = one.median_ms
    return {
        "bundle": one.case.subject.name,
        "model": one.case.subject.manifest.name,
        "precision": one.about["precision"],
        "file": one.about["file"],
        "engine": one.engine,
        "device": one.about["device"],
        "fallback": one.about["fallback"],
        "bound": request.bind,
        "threads": one.case.threads,
        "batch": one.case.batch,
        "calls": sum(run.calls for run in one.runs),
        "latency_ms_median": round(median, 4),
        "latency_ms_p95": round(one.p95_ms, 4),
        "latency_ms_rounds": [run.median_ms for run in one.runs],
        "items_per_s": _significant(one.case.batch * 1e3 / median),
        "load_ms": _median_of(one.runs, "load_ms"),
        "first_call_ms": _median_of(one.runs, "first_call_ms"),
        "peak_memory_kib": _median_of(one.runs, "peak_memory_kib"),
    }


def _significant(value: float) -> float:
    """Six digits: rounded to decimals, the rate of a very slow device would be 0."""
    return float(f"{value:.6g}")


def _median_of(runs: Sequence[Run], name: str) -> float | None:
    values = [value for run in runs if (value := getattr(run, name)) is not None]
    return round(statistics.median(values), 3) if values else None


def _operators(one: Measured, profile: Profile) -> dict[str, Any]:
    return {
        "bundle": one.case.subject.name,
        "file": one.about["file"],
        "engine": one.engine,
        "threads": one.case.threads,
        "batch": one.case.batch,
        "note": profile.note or None,
        "rows": [asdict(row) for row in profile.rows],
    }


def _machine_there(measured: Sequence[Measured]) -> str:
    about = measured[0].about
    words = (about["machine"], about["system"], f"Python {about['python'] or 'unknown'}")
    return ", ".join(word for word in words if word)
