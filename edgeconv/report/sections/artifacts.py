"""The table of artifacts: one row a file, a column for everything that matters at once."""

from __future__ import annotations

from collections.abc import Callable

from edgeconv.report.facts import Facts, Row, pointer
from edgeconv.report.metrics import metric_cell
from edgeconv.report.text import MISSING, escape, megabytes, milliseconds

__all__ = ["artifact_section"]


def artifact_section(facts: Facts) -> str:
    """One row an artifact; a column nobody has a value for is left out."""
    rows = facts.rows
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
        f'<h2 id="artifacts">Artifacts</h2>\n<table class="cards">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def _name(row: Row) -> str:
    artifact = row.artifact
    return (
        f'<span><span class="file">{escape(artifact.file)}</span>'
        f"<small>{escape(artifact.precision)}</small></span>"
    )


def _metric(name: str) -> Callable[[Row], str]:
    return lambda row: metric_cell(row, name)


def _latency(row: Row) -> str:
    here, at = row.times, row.times_at
    key, floating = "latency_ms_median", "float_latency_ms_median"
    shown = milliseconds(here.get(key), pointer(at, key))
    beside = milliseconds(here.get(floating), pointer(at, floating))
    if MISSING in (shown, beside):
        return shown
    return f"<span>{shown}<small>float {beside}</small></span>"


def _size(row: Row) -> str:
    return megabytes(row.entry.get("bytes"), pointer(row.entry_at, "bytes"))


def _status(row: Row) -> str:
    status = row.artifact.status
    return f'<span class="chip {status}">{status}</span>'


_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("File", _name),
    ("Size", _size),
    ("Top-1", _metric("top1")),
    ("Drop", _metric("top1_drop")),
    ("Top-5", _metric("top5")),
    ("Agreement", _metric("agreement")),
    ("KL", _metric("mean_kl")),
    ("Step agreement", _metric("step_agreement")),
    ("Recall@1", _metric("recall_at_1")),
    ("AUC", _metric("auc")),
    ("Relative error", _metric("relative_error")),
    ("Mean cosine", _metric("cosine_mean")),
    ("Least cosine", _metric("cosine_min")),
    ("SQNR", _metric("sqnr_db")),
    ("Other outputs", _metric("other_outputs_relative_error")),
    ("Time a run", _latency),
    ("Verdict", _status),
)
