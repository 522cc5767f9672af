"""The table of artifacts: one row a file, a column for everything that was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgeconv.report.text import MISSING, escape, megabytes, number, signed
from edgeconv.types import ArtifactVerdict, Interval, Verdict

__all__ = ["artifact_table", "by_file"]

_Row = tuple[ArtifactVerdict, Mapping[str, Any], Mapping[str, Any]]


def artifact_table(verdict: Verdict, manifest: Mapping[str, Any], bench: Mapping[str, Any]) -> str:
    """One row an artifact; a column nobody has a value for is left out."""
    files, times = by_file(manifest.get("artifacts")), by_file(bench.get("artifacts"))
    rows = [(a, files.get(a.file, {}), times.get(a.file, {})) for a in verdict.artifacts]
    filled = [(title, [write(row) for row in rows]) for title, write in _COLUMNS]
    columns = [(title, cells) for title, cells in filled if set(cells) != {MISSING}]
    head = "".join(f"<th>{title}</th>" for title, _ in columns)
    body = "\n".join(
        "<tr>"
        + "".join(f'<td data-label="{title}">{cells[i]}</td>' for title, cells in columns)
        + "</tr>"
        for i in range(len(rows))
    )
    return (
        f'<table class="cards">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>"
    )


def by_file(entries: object) -> dict[str, Mapping[str, Any]]:
    """Rows that name a ``file``, by that name; nothing where it is no list."""
    listed = entries if isinstance(entries, Sequence) else ()
    return {str(e.get("file")): e for e in listed if isinstance(e, Mapping)}


def _name(row: _Row) -> str:
    artifact = row[0]
    return (
        f'<span><span class="file">{escape(artifact.file)}</span>'
        f"<small>{escape(artifact.precision)}</small></span>"
    )


def _metric(name: str, unit: str, digits: int = 1) -> Callable[[_Row], str]:
    return lambda row: number(row[0].metrics.get(name), unit, digits)


def _beside(name: str, unit: str) -> Callable[[_Row], str]:
    """A metric, with the reference's own below it."""

    def write(row: _Row) -> str:
        metrics = row[0].metrics
        shown = number(metrics.get(name), unit)
        reference = number(metrics.get(f"{name}_reference"), unit)
        if MISSING in (shown, reference):
            return shown
        return f"<span>{shown}<small>was {reference}</small></span>"

    return write


def _drop(row: _Row) -> str:
    drop = row[0].metrics.get("top1_drop")
    if not isinstance(drop, Interval):
        return MISSING
    low, high = (signed(end) for end in drop.ci95)
    return f"<span>{signed(drop.estimate)}<small>{low} to {high}</small></span>"


def _latency(row: _Row) -> str:
    shown = number(row[2].get("latency_ms_median"), " ms")
    floating = number(row[2].get("float_latency_ms_median"), " ms")
    if MISSING in (shown, floating):
        return shown
    return f"<span>{shown}<small>float {floating}</small></span>"


def _status(row: _Row) -> str:
    status = row[0].status
    return f'<span class="chip {status}">{status}</span>'


_COLUMNS: tuple[tuple[str, Callable[[_Row], str]], ...] = (
    ("File", _name),
    ("Size", lambda row: megabytes(row[1].get("bytes"))),
    ("Top-1", _beside("top1", "%")),
    ("Drop, points", _drop),
    ("Top-5", _beside("top5", "%")),
    ("Agreement", _metric("agreement", "%")),
    ("KL, nats", _metric("mean_kl", "", 3)),
    ("Relative error", _metric("relative_error", "%", 2)),
    ("Mean cosine", _metric("cosine_mean", "", 4)),
    ("Least cosine", _metric("cosine_min", "", 4)),
    ("SQNR", _metric("sqnr_db", " dB")),
    ("Other outputs", _metric("other_outputs_relative_error", "% off", 2)),
    ("Time a run", _latency),
    ("Verdict", _status),
)
