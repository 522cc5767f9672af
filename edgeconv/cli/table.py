"""The table at the end of an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeconv.types import ArtifactVerdict, Interval

if TYPE_CHECKING:
    from rich.table import Table

    from edgeconv.pipeline import Export

__all__ = ["export_table", "size_text"]

_COLORS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}
#: Columns that hold any table.
_ENDLESS = 1000


def export_table(result: Export, width: int) -> Table:
    """One row an artifact: size, parity, latency, verdict; one column where that is too wide.

    Args:
        result: Of the export.
        width: Columns of the terminal.
    """
    from rich.console import Console

    rows = _rows(result)
    wide = _across(rows)
    return wide if Console(width=_ENDLESS).measure(wide).maximum <= width else _down(rows)


def _rows(result: Export) -> list[list[str]]:
    """The titles, then the cells of each artifact, in rich's markup."""
    labelled = any("top1" in a.metrics for a in result.verdict.artifacts)
    classifies = any("agreement" in a.metrics for a in result.verdict.artifacts)
    titles = ["artifact", "size"]
    titles += ["top-1", "drop, points (95%)"] if labelled else []
    titles += ["agreement"] if classifies else ["cosine", "relative error"]
    rows = [[*titles, "ms a run (float)", "verdict"]]
    timings = {row["file"]: row for row in result.bench["artifacts"]}
    for artifact in result.verdict.artifacts:
        size = (result.bundle / artifact.file).stat().st_size
        cells = [f"{artifact.file} {artifact.precision}", size_text(size)]
        cells += _parity(artifact, labelled=labelled, classifies=classifies)
        cells.append(_latency(timings.get(artifact.file)))
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
