"""The table at the end of an export or a verification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeconv.pictures import printable
from edgeconv.types import ArtifactVerdict, Interval, Verdict

if TYPE_CHECKING:
    from rich.table import Table

    from edgeconv.pipeline import Export

__all__ = ["export_table", "search_table", "size_text", "verdict_table"]

_COLORS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}
#: Metric -> title, of what only some tasks have.
_SPECIAL = {"step_agreement": "by step", "recall_at_1": "recall@1", "auc": "AUC"}
#: Columns that hold any table.
_ENDLESS = 1000


def export_table(result: Export, width: int) -> Table:
    """One row an artifact: size, parity, latency, verdict; one column where that is too wide.

    Args:
        result: Of the export.
        width: Columns of the terminal.
    """
    timings = {row["file"]: row for row in result.bench["artifacts"]}
    files = [artifact.file for artifact in result.verdict.artifacts]
    sizes = [size_text((result.bundle / file).stat().st_size) for file in files]
    rows = _rows(result.verdict)
    rows = _with_column(rows, 1, ["size", *sizes])
    latencies = [_latency(timings.get(file)) for file in files]
    return _fitting(_with_column(rows, -1, ["ms a run (float)", *latencies]), width)


def search_table(recovery: Mapping[str, Any], bench: Mapping[str, Any], width: int) -> Table:
    """One row a rung and format of what was tried; fewer columns where they are too wide.

    Args:
        recovery: The content of recovery.json.
        bench: The content of bench.json, or nothing of it.
        width: Columns of the terminal.
    """
    from rich.markup import escape

    titles = ["tried", "file", "drop (95%)", "agreement", "SQNR, dB", "size", "ms", "s", ""]
    rows = [titles]
    times = bench.get("search") or []
    for place, rung in enumerate(recovery["rungs"]):
        took = _table(times[place]) if place < len(times) else {}
        for number, each in enumerate(rung["artifacts"] or [{"format": "failed"}]):
            cells = _tried(each, _table(took.get("latency_ms")))
            first = number == 0
            name = escape(printable(str(rung.get("name")))) if first else ""
            seconds = _plain(took.get("seconds")) if first else ""
            kept = "[green]kept[/green]" if first and rung.get("kept") else ""
            rows.append([name, *map(escape, cells), seconds, kept])
    return _narrowed(_without_empty(rows), width)


def _tried(each: Mapping[str, Any], latencies: Mapping[str, Any]) -> list[str]:
    """The cells of one format of a rung."""
    metrics, size = _table(each.get("metrics")), each.get("bytes")
    latency = latencies.get(str(each.get("format")))
    return [
        printable(str(each.get("format"))),
        _tried_drop(_table(metrics.get("top1_drop"))),
        _percent(metrics.get("agreement")),
        _plain(metrics.get("sqnr_db")),
        size_text(size) if isinstance(size, int) else "-",
        _ms(latency) if isinstance(latency, int | float) else "-",
    ]


def _table(value: object) -> Mapping[str, Any]:
    """A table of a file that anyone may have written."""
    return value if isinstance(value, Mapping) else {}


def _narrowed(rows: list[list[str]], width: int) -> Table:
    """The table without what can best be spared, until it fits."""
    from rich.console import Console

    spare = ["s", "ms", "size", "SQNR, dB"]
    while True:
        table = _across(rows)
        if Console(width=_ENDLESS).measure(table).maximum <= width or not spare:
            return table
        title = spare.pop(0)
        kept = [name != title for name in rows[0]]
        rows = [[cell for cell, told in zip(row, kept, strict=True) if told] for row in rows]


def _without_empty(rows: list[list[str]]) -> list[list[str]]:
    """The table without columns that say nothing in any row."""
    said = [any(row[at] not in ("", "-") for row in rows[1:]) for at in range(len(rows[0]))]
    return [[cell for cell, told in zip(row, said, strict=True) if told] for row in rows]


def _tried_drop(drop: Mapping[str, Any]) -> str:
    ends = drop.get("ci95")
    numbers = [drop.get("estimate"), *(ends if isinstance(ends, list) else [])]
    if len(numbers) != 3 or not all(isinstance(each, int | float) for each in numbers):
        return "-"
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*numbers)


def _plain(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "-"


def verdict_table(verdict: Verdict, width: int) -> Table:
    """One row an artifact: parity and verdict; one column where that is too wide.

    Args:
        verdict: Of a bundle or a file.
        width: Columns of the terminal.
    """
    return _fitting(_rows(verdict), width)


def _fitting(rows: list[list[str]], width: int) -> Table:
    from rich.console import Console

    wide = _across(rows)
    return wide if Console(width=_ENDLESS).measure(wide).maximum <= width else _down(rows)


def _with_column(rows: list[list[str]], at: int, cells: list[str]) -> list[list[str]]:
    return [[*row[:at], cell, *row[at:]] for row, cell in zip(rows, cells, strict=True)]


def _rows(verdict: Verdict) -> list[list[str]]:
    """The titles, then the cells of each artifact, in rich's markup."""
    from rich.markup import escape

    labelled = any("top1" in a.metrics for a in verdict.artifacts)
    classifies = any("agreement" in a.metrics for a in verdict.artifacts)
    titles = ["artifact"]
    titles += ["top-1", "drop, points (95%)"] if labelled else []
    titles += ["agreement"] if classifies else ["cosine", "relative error"]
    special = [name for name in _SPECIAL if any(name in a.metrics for a in verdict.artifacts)]
    titles += [_SPECIAL[name] for name in special]
    rows = [[*titles, "verdict"]]
    for artifact in verdict.artifacts:
        cells = [escape(printable(f"{artifact.file} {artifact.precision}"))]
        cells += _parity(artifact, labelled=labelled, classifies=classifies)
        cells += [_percent(artifact.metrics.get(name)) for name in special]
        color = _COLORS[artifact.status]
        rows.append([*cells, f"[{color}]{artifact.status}[/{color}]"])
    return rows


def _across(rows: list[list[str]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, title in enumerate(rows[0]):
        table.add_column(title, justify="left" if at in (0, len(rows[0]) - 1) else "right")
    for cells in rows[1:]:
        table.add_row(*cells)
    return table


def _down(rows: list[list[str]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in rows:
        table.add_column(column[0])
    for cells in list(zip(*rows, strict=True))[1:]:
        table.add_row(*cells)
    return table


def _parity(artifact: ArtifactVerdict, *, labelled: bool, classifies: bool) -> list[str]:
    metrics = artifact.metrics
    cells = []
    if labelled:
        cells.append(_percent(metrics.get("top1")))
        drop = metrics.get("top1_drop")
        cells.append(
            f"{drop.estimate:+.1f} ({drop.ci95[0]:+.1f} to {drop.ci95[1]:+.1f})"
            if isinstance(drop, Interval)
            else "-"
        )
    if classifies:
        return [*cells, _percent(metrics.get("agreement"))]
    cosine = metrics.get("cosine_mean")
    cells.append(f"{cosine:.4f}" if isinstance(cosine, float) else "-")
    return [*cells, _percent(metrics.get("relative_error"))]


def _percent(value: Any) -> str:
    value = value.estimate if isinstance(value, Interval) else value
    return f"{value:.1f}%" if isinstance(value, (int, float)) else "-"


def _latency(row: dict[str, Any] | None) -> str:
    if row is None:
        return "-"
    text = _ms(row["latency_ms_median"])
    if row.get("float_latency_ms_median") is not None:
        text += f" ({_ms(row['float_latency_ms_median'])})"
    return text


def size_text(size_bytes: int) -> str:
    """``3.65 MB`` or ``13.4 kB``."""
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds >= 1 else f"{milliseconds:.2g}"
