"""What a tensor held in float (filled) and holds now (outlined).

Counts are drawn as their logarithm: the few values in a tail decide the range,
and beside a peak of thousands they would not be seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgeconv.report.figures.scale import Scale, svg, upright
from edgeconv.report.text import escape

__all__ = ["Histogram", "histogram_figure"]

_HEIGHT_PX = 84
_AXIS_PX = 20
_WIDTH = 100.0


@dataclass(frozen=True)
class Histogram:
    """Counts over equal bins.

    Attributes:
        low: Left edge of the first bin.
        high: Right edge of the last one.
        counts: Of the float model.
        candidate_counts: Of the converted one, over the same bins; may be empty.
        representable: Smallest and largest value that the converted tensor can hold.
    """

    low: float
    high: float
    counts: Sequence[float]
    candidate_counts: Sequence[float] = ()
    representable: tuple[float, float] | None = None


def histogram_figure(found: Histogram, spoken: str) -> str:
    """Both outlines over one axis."""
    highest = math.log1p(max([*found.counts, *found.candidate_counts, 1.0]))
    scale = Scale(found.low, found.high)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT_PX}" width="100%" height="{_HEIGHT_PX}" '
        'preserveAspectRatio="none">'
        f'<path class="was" d="{_steps(found.counts, highest)}Z"/>'
        f'<path class="now" d="{_steps(found.candidate_counts, highest)}"/></svg>',
        *_limits(found, scale),
        f'<line class="zero" x1="0" x2="100%" y1="{_HEIGHT_PX}" y2="{_HEIGHT_PX}"/>',
        *_axis(scale),
    ]
    return svg(parts, _HEIGHT_PX + _AXIS_PX, spoken, "histogram")


def _steps(counts: Sequence[float], highest: float) -> str:
    """The outline of the bins, from the ground up and back to it."""
    if not counts:
        return f"M0 {_HEIGHT_PX}"
    width = _WIDTH / len(counts)
    path = [f"M0 {_HEIGHT_PX}"]
    for i, count in enumerate(counts):
        y = _HEIGHT_PX - (_HEIGHT_PX - 4) * math.log1p(max(0.0, count)) / highest
        path.append(f"V{y:.1f}H{(i + 1) * width:.2f}")
    return "".join([*path, f"V{_HEIGHT_PX}"])


def _limits(found: Histogram, scale: Scale) -> list[str]:
    """A line where the converted tensor's range ends, if that cuts something off."""
    ends = found.representable or ()
    return [
        upright("limit", scale.at(end), 0, _HEIGHT_PX)
        for end in ends
        if found.low < end < found.high
    ]


def _axis(scale: Scale) -> list[str]:
    ends = ((scale.low, "start", "0"), (scale.high, "end", "100%"))
    return [
        f'<text x="{x}" y="{_HEIGHT_PX + 14}" text-anchor="{anchor}">'
        f"{escape(f'{value:.3g}'.replace('-', '−'))}</text>"
        for value, anchor, x in ends
    ]
