"""The figures as an SVG file of its own: no library, no script, light and dark.

several batches   throughput over the batch size, both logarithmic, a line a file
one batch         a bar a case: the median, with a mark at the 95th percentile
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from edgeconv.pictures import printable

__all__ = ["plot"]

_WIDTH, _LEFT, _TOP, _RIGHT = 760, 70, 46, 20
_ROW = 40
_HEIGHT = 320
_COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#64748b", "#0891b2", "#b91c1c")
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2937}.dim{fill:#6b7280}"
    ".grid{stroke:#d1d5db;stroke-width:1}.back{fill:#fff}"
    "@media(prefers-color-scheme:dark){text{fill:#e5e7eb}.dim{fill:#9ca3af}"
    ".grid{stroke:#374151}.back{fill:#111827}}"
)


def plot(result: Mapping[str, Any]) -> str:
    """Draw the content of a benchmark.

    Args:
        result: As ``benchmark`` returns it.

    Returns:
        An SVG document.
    """
    rows = result["rows"]
    head = _text(0 + 16, 24, f"{rows[0]['model']} on {result['machine']}", size=15)
    if len({row["batch"] for row in rows}) > 1:
        parts, height = _lines(rows)
    else:
        parts, height = _bars(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-label="{_spoken(rows)}">\n'
        f"<style>{_STYLE}</style>\n"
        f'<rect class="back" width="{_WIDTH}" height="{height}"/>\n'
        + "\n".join([head, *parts])
        + "\n</svg>\n"
    )


def _bars(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], int]:
    longest = max(row["latency_ms_p95"] for row in rows)
    span = _WIDTH - 16 - _RIGHT
    colours = _colours(rows)
    parts = []
    for i, row in enumerate(rows):
        y = _TOP + i * _ROW
        width = span * row["latency_ms_median"] / longest
        mark = 16 + span * row["latency_ms_p95"] / longest
        name = f"{_series(row)}, batch {row['batch']}: {row['latency_ms_median']:.3g} ms"
        parts += [
            _text(16, y + 11, f"{name} (p95 {row['latency_ms_p95']:.3g} ms)"),
            f'<rect x="16" y="{y + 17}" width="{width:.1f}" height="12" rx="2" '
            f'fill="{colours[_series(row)]}"/>',
            f'<line x1="{mark:.1f}" x2="{mark:.1f}" y1="{y + 15}" y2="{y + 31}" '
            f'stroke="{colours[_series(row)]}" stroke-width="2"/>',
        ]
    return parts, _TOP + _ROW * len(rows) + 10


def _lines(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], int]:
    batches = sorted({row["batch"] for row in rows})
    rates = [row["items_per_s"] for row in rows]
    low, high = _decades(rates)
    colours = _colours(rows)
    bottom = _TOP + _HEIGHT

    def x(batch: float) -> float:
        share = math.log(batch / batches[0]) / math.log(batches[-1] / batches[0])
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT - 10)

    def y(rate: float) -> float:
        return bottom - (math.log10(rate) - low) / (high - low) * _HEIGHT

    parts = _axes(batches, x, y, low, high, bottom)
    for series, colour in colours.items():
        points = sorted((r["batch"], r["items_per_s"]) for r in rows if _series(r) == series)
        path = " ".join(f"{x(batch):.1f},{y(rate):.1f}" for batch, rate in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x(batch):.1f}" cy="{y(rate):.1f}" r="3.5" fill="{colour}"/>'
            for batch, rate in points
        ]
    for i, (series, colour) in enumerate(colours.items()):
        top = bottom + 46 + 20 * i
        parts.append(f'<rect x="16" y="{top - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(34, top, series))
    return parts, bottom + 46 + 20 * len(colours)


def _axes(batches: Sequence[int], x: Any, y: Any, low: int, high: int, bottom: int) -> list[str]:
    parts = []
    for decade in range(low, high + 1):
        for step in (1, 2, 5):
            rate = step * 10.0**decade
            if decade == high and step > 1:
                break
            parts.append(
                f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(rate):.1f}" '
                f'y2="{y(rate):.1f}"/>'
            )
            parts.append(_text(_LEFT - 8, y(rate) + 4, f"{rate:g}", anchor="end", dim=True))
    for batch in batches:
        parts.append(_text(x(batch), bottom + 18, str(batch), anchor="middle", dim=True))
    parts.append(_text(_WIDTH - _RIGHT, _TOP - 8, "items/s", anchor="end", dim=True))
    parts.append(_text(16, bottom + 18, "batch", dim=True))
    return parts


def _decades(rates: Sequence[float]) -> tuple[int, int]:
    """Powers of ten around ``rates``, at least one apart."""
    low = math.floor(math.log10(min(rates)))
    return low, max(low + 1, math.ceil(math.log10(max(rates))))


def _series(row: Mapping[str, Any]) -> str:
    threads = f"{row['threads']} thread" + ("s" if row["threads"] > 1 else "")
    return f"{row['bundle']} {row['precision']}, {row['engine']} on {row['device']}, {threads}"


def _colours(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    names = dict.fromkeys(_series(row) for row in rows)
    return {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}


def _spoken(rows: Sequence[Mapping[str, Any]]) -> str:
    said = (f"{_series(r)}, batch {r['batch']}: {r['latency_ms_median']:.3g} ms" for r in rows)
    return html.escape(printable("; ".join(said)), quote=True)


def _text(
    x: float, y: float, text: str, *, size: int = 13, anchor: str = "start", dim: bool = False
) -> str:
    kind = ' class="dim"' if dim else ""
    big = f' style="font-size:{size}px;font-weight:600"' if size != 13 else ""
    return (
        f'<text{kind}{big} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{html.escape(printable(text))}</text>"
    )
