"""How long a run takes, the float form beside it, and what it was measured with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edgeconv.report.facts import Facts, by_file
from edgeconv.report.figures import Bar, latency_figure
from edgeconv.report.sections.listing import definitions, flat
from edgeconv.report.text import escape, plain, real

__all__ = ["latency_section"]

_COUNTS = (("threads", "thread"), ("runs", "run"))
_ELSEWHERE = ("artifacts", "date", "schema_version", "search")


def latency_section(facts: Facts) -> str:
    """Bars and conditions; empty where nothing was timed."""
    rows = by_file(facts.bench.get("artifacts"))
    svg = latency_figure([bar for file, row in rows.items() for bar in _bars(file, row)])
    if not svg:
        return ""
    others = {key: value for key, value in facts.bench.items() if key not in _ELSEWHERE}
    conditions = definitions([*flat(others), *_measured_with(rows)])
    return (
        f'<h2 id="latency">Latency</h2>\n<figure>\n{svg}\n<figcaption>Median time of one '
        "inference, one item at a time, without preprocessing; the mark to its right is the time "
        f"within which 95% of the runs ended.</figcaption>\n</figure>\n"
        f"{_advice(facts.bench)}{conditions}"
    )


def _advice(bench: Mapping[str, Any]) -> str:
    """Where integers were slower than float: by which operators, and what is faster."""
    found = bench.get("advice")
    said = found if isinstance(found, list) else []
    return "".join(f"<p>{escape(each)}</p>\n" for each in said if isinstance(each, str))


def _bars(file: str, row: Mapping[str, Any]) -> Iterable[Bar]:
    median, floating = _time(row, "latency_ms_median"), _time(row, "float_latency_ms_median")
    if median is not None:
        yield Bar(file, median, slow_ms=_time(row, "latency_ms_p95"))
    if floating is not None:
        yield Bar(f"{file}, float", floating, floating=True)


def _counted(count: object, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _time(row: Mapping[str, Any], key: str) -> float | None:
    value = real(row.get(key))
    return value if value is not None and value > 0.0 else None


def _measured_with(rows: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[str, object]]:
    """(file, such as ``litert 2.3.0, 100 runs, 95% within 2.1 ms``) pairs."""
    for file, row in rows.items():
        words = [str(row["engine"])] if row.get("engine") else []
        words += [_counted(row[key], name) for key, name in _COUNTS if row.get(key)]
        slow = _time(row, "latency_ms_p95")
        if slow is not None:
            words.append(f"95% within {plain(slow)} ms")
        yield file, ", ".join(words)
