"""Latencies as bars from zero, all on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeconv.report.figures.scale import Scale, svg, upright
from edgeconv.report.text import escape, plain

__all__ = ["Bar", "latency_figure"]

_ROW_PX = 42
_LABEL_PX = 20


@dataclass(frozen=True)
class Bar:
    """One bar of the latency figure.

    Attributes:
        name: What stands above it.
        ms: Its length.
        floating: Whether it is the float model, drawn paler.
        slow_ms: 95% of the runs were faster; a mark beyond the bar. None where unknown.
    """

    name: str
    ms: float
    floating: bool = False
    slow_ms: float | None = None


def latency_figure(bars: Sequence[Bar]) -> str:
    """A bar each; empty where nothing was timed."""
    longest = max((max(bar.ms, bar.slow_ms or 0.0) for bar in bars), default=0.0)
    if longest <= 0.0:
        return ""
    scale = Scale(0.0, longest)
    parts = [part for i, bar in enumerate(bars) for part in _bar(bar, scale, i * _ROW_PX)]
    spoken = "; ".join(f"{bar.name}: {plain(bar.ms)} ms" for bar in bars)
    return svg(parts, _ROW_PX * len(bars), spoken)


def _bar(bar: Bar, scale: Scale, top: int) -> list[str]:
    kind = "bar float" if bar.floating else "bar"
    y = top + _LABEL_PX
    parts = [
        f'<text x="0" y="{top + 13}"><tspan class="name">{escape(bar.name)}</tspan> '
        f"<tspan>{plain(bar.ms)} ms</tspan></text>",
        f'<rect class="{kind}" x="0" y="{y}" height="11" rx="2" width="{scale.at(bar.ms)}"/>',
    ]
    if bar.slow_ms is not None:
        x = scale.at(bar.slow_ms)
        parts.append(
            f'<line class="slow" x1="{scale.at(bar.ms)}" x2="{x}" y1="{y + 5}" y2="{y + 5}"/>'
            + upright("slow", x, y + 1, y + 10)
        )
    return parts
