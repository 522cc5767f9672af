"""Each artifact's interval against the margin, lost ground shaded.

model.tflite  -0.4 points (-3.6 to 2.7)      margin 1.0
     |------======o==========------|............:
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeconv.report.figures.scale import Scale, svg, upright
from edgeconv.report.text import escape, plain
from edgeconv.types import ArtifactVerdict, Interval

__all__ = ["interval_figure"]

_ROW_PX = 62
_TOP_PX = 26
_AXIS_PX = 30
_LABEL_PX = 24


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
    return svg(parts, height + _AXIS_PX, spoken)


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
    right = scale.share(limit) > 0.6
    anchor = 'text-anchor="end" dx="-6"' if right else 'dx="6"'
    return f'<text class="limit-name" x="{scale.at(limit)}" y="13" {anchor}>{escape(name)}</text>'


def _ground(scale: Scale, limit: float, drop: bool, top: int, bottom: int) -> list[str]:
    """What lies behind one row's interval: the lost side, zero, the margin."""
    start, width = (limit, scale.high - limit) if drop else (scale.low, limit - scale.low)
    share = 100.0 * width / ((scale.high - scale.low) or 1.0)
    parts = [
        f'<rect class="lost" x="{scale.at(start)}" y="{top}" '
        f'width="{share:.2f}%" height="{bottom - top}"/>'
    ]
    if drop:
        parts.append(upright("zero", scale.at(0.0), top, bottom))
    return [*parts, upright("limit", scale.at(limit), top, bottom)]


def _axis(scale: Scale, top: int) -> list[str]:
    parts = [f'<line class="grid" x1="0" x2="100%" y1="{top}" y2="{top}"/>']
    for tick in scale.ticks():
        x = scale.at(tick)
        text = f"{tick:g}".replace("-", "−")
        parts.append(upright("grid", x, top, top + 5))
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
