"""The table at the end of an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeconv.types import ArtifactVerdict, Interval

if TYPE_CHECKING:
    from rich.table import Table

    from edgeconv.pipeline import Export

__all__ = ["export_table"]

_COLORS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def export_table(result: Export) -> Table:
    """One row an artifact: size, parity, latency, verdict."""
    from rich import box
    from rich.table import Table

    labelled = any("top1" in a.metrics for a in result.verdict.artifacts)
    classifies = any("agreement" in a.metrics for a in result.verdict.artifacts)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("artifact")
    table.add_column("size", justify="right")
    if labelled:
        table.add_column("top-1", justify="right")
        table.add_column("drop, points (95%)", justify="right")
    if classifies:
        table.add_column("agreement", justify="right")
    else:
        table.add_column("cosine", justify="right")
        table.add_column("relative error", justify="right")
    table.add_column("ms a run (float)", justify="right")
    table.add_column("verdict")
    timings = {row["file"]: row for row in result.bench["artifacts"]}
    for artifact in result.verdict.artifacts:
        size = (result.bundle / artifact.file).stat().st_size
        cells = [f"{artifact.file} {artifact.precision}", _size(size)]
        cells += _parity(artifact, labelled=labelled, classifies=classifies)
        cells.append(_latency(timings.get(artifact.file)))
        color = _COLORS[artifact.status]
        table.add_row(*cells, f"[{color}]{artifact.status}[/{color}]")
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


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds >= 1 else f"{milliseconds:.2g}"
