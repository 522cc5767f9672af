"""Figures as inline SVG, in percent of the width so that text keeps its size.

interval_figure    each artifact's interval against the margin
latency_figure     a bar an artifact, the float model's beside it
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgeconv.report.text import escape, plain
from edgeconv.types import ArtifactVerdict, Interval

__all__ = ["Bar", "interval_figure", "latency_figure"]

_ROW_PX = 58
_TOP_PX = 26
_AXIS_PX = 30
_LABEL_PX = 22


@dataclass(frozen=True)
class Scale:
    """From values to percent of the width."""

    low: float
    high: float

    def at(self, value: float) -> str:
        share = (value - self.low) / (self.high - self.low)
        return f"{100.0 * min(1.0, max(0.0, share)):.2f}%"

    def ticks(self) -> list[float]:
        """Round numbers, at most seven."""
        rough = (self.high - self.low) / 6
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]


def interval_figure(artifacts: Sequence[ArtifactVerdict]) -> str:
    """The gated intervals; empty where none was gated by an interval."""
    rows = [
        (a, value, a.limit)
        for a in artifacts
        if isinstance(value := a.metrics.get(a.gated), Interval) and a.limit is not None
    ]
    if not rows:
        return ""
    limit = rows[0][2]
    drop = rows[0][0].gated == "top1_drop"
    scale = _scale([value for _, value, _ in rows], limit, drop)
    height = _TOP_PX + _ROW_PX * len(rows)
    parts = [_margin_name(scale, limit, drop), *_axis(scale, height)]
    for i, (artifact, value, _) in enumerate(rows):
        top = _TOP_PX + _ROW_PX * i
        parts += _ground(scale, limit, drop, top + _LABEL_PX, top + _ROW_PX - 4)
        parts += _interval_row(artifact, value, scale, drop, top)
    spoken = "; ".join(f"{a.file}: {a.reason}" for a, _, _ in rows)
    return _svg(parts, height + _AXIS_PX, spoken)


def _scale(values: Sequence[Interval], limit: float, drop: bool) -> Scale:
    ends = [limit, *(end for value in values for end in value.ci95)]
    if drop:
        ends.append(0.0)
    low, high = min(ends), max(ends)
    room = 0.08 * (high - low) or 1.0
    return Scale(low - room, high + room if drop else min(100.0, high + room))


def _margin_name(scale: Scale, limit: float, drop: bool) -> str:
    name = f"margin {float(limit)}" + (" points" if drop else "%")
    # The name stands on the side with room for it.
    right = (limit - scale.low) / (scale.high - scale.low) > 0.6
    anchor = 'text-anchor="end" dx="-6"' if right else 'dx="6"'
    return f'<text class="limit-name" x="{scale.at(limit)}" y="13" {anchor}>{escape(name)}</text>'


def _ground(scale: Scale, limit: float, drop: bool, top: int, bottom: int) -> list[str]:
    """What lies behind one row's interval: the lost side, zero, the margin."""
    start, width = (limit, scale.high - limit) if drop else (scale.low, limit - scale.low)
    share = 100.0 * width / (scale.high - scale.low)
    parts = [
        f'<rect class="lost" x="{scale.at(start)}" y="{top}" '
        f'width="{share:.2f}%" height="{bottom - top}"/>'
    ]
    if drop:
        parts.append(_upright("zero", scale.at(0.0), top, bottom))
    return [*parts, _upright("limit", scale.at(limit), top, bottom)]


def _upright(kind: str, x: str, top: int, bottom: int) -> str:
    return f'<line class="{kind}" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'


def _axis(scale: Scale, top: int) -> list[str]:
    parts = [f'<line class="grid" x1="0" x2="100%" y1="{top}" y2="{top}"/>']
    for tick in scale.ticks():
        x = scale.at(tick)
        text = f"{tick:g}".replace("-", "−")
        parts.append(_upright("grid", x, top, top + 5))
        parts.append(f'<text x="{x}" y="{top + 20}" text-anchor="middle">{text}</text>')
    return parts


def _interval_row(
    artifact: ArtifactVerdict, value: Interval, scale: Scale, drop: bool, top: int
) -> list[str]:
    y = top + (_LABEL_PX + _ROW_PX - 4) // 2
    unit = " points" if drop else "%"
    low, high = (scale.at(end) for end in value.ci95)
    text = f"{plain(value.estimate)}{unit} ({plain(value.ci95[0])} to {plain(value.ci95[1])})"
    return [
        f'<g class="{artifact.status}">',
        f'<text x="0" y="{top + 14}"><tspan class="name">{escape(artifact.file)}</tspan> '
        f"<tspan>{escape(text)}</tspan></text>",
        f'<line class="thick" x1="{scale.at(value.lower95)}" x2="{scale.at(value.upper95)}" '
        f'y1="{y}" y2="{y}"/>',
        f'<line class="thin" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>',
        *(f'<line class="thin" x1="{x}" x2="{x}" y1="{y - 5}" y2="{y + 5}"/>' for x in (low, high)),
        f'<circle class="dot" cx="{scale.at(value.estimate)}" cy="{y}" r="6"/>',
        "</g>",
    ]


@dataclass(frozen=True)
class Bar:
    """One bar of the latency figure.

    Attributes:
        name: What stands above it.
        ms: Its length.
        floating: Whether it is the float model, drawn paler.
    """

    name: str
    ms: float
    floating: bool = False


def latency_figure(bars: Sequence[Bar]) -> str:
    """Bars from 0 ms, all on one scale; empty where nothing was timed."""
    longest = max((bar.ms for bar in bars), default=0.0)
    if longest <= 0.0:
        return ""
    parts = []
    for i, bar in enumerate(bars):
        y = i * 40
        kind = "bar float" if bar.floating else "bar"
        parts += [
            f'<text x="0" y="{y + 13}"><tspan class="name">{escape(bar.name)}</tspan> '
            f"<tspan>{bar.ms:.1f} ms</tspan></text>",
            f'<rect class="{kind}" x="0" y="{y + _LABEL_PX - 2}" height="9" rx="2" '
            f'width="{100.0 * bar.ms / longest:.2f}%"/>',
        ]
    spoken = "; ".join(f"{bar.name}: {bar.ms:.1f} ms" for bar in bars)
    return _svg(parts, 40 * len(bars), spoken)


def _svg(parts: Sequence[str], height: int, spoken: str) -> str:
    body = "\n".join(parts)
    return f'<svg role="img" height="{height}" aria-label="{escape(spoken)}">\n{body}\n</svg>'
