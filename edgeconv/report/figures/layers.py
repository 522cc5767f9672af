"""One bar a layer: SQNR upwards, share of the final error downwards.

dB |#  #  #
   |#  #  #  #  .  .          SQNR at the layer's output
   +-----------------> layers in the order of the graph
%  |.  .  .  #  .  .          what the layer adds to the final error
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeconv.report.figures.scale import Scale, svg
from edgeconv.report.text import escape, plain

__all__ = ["LayerBar", "layer_figure"]

_UPPER_PX = 150
_LOWER_PX = 70
_TOP_PX = 8
_ZERO_PX = _TOP_PX + _UPPER_PX
_BOTTOM_PX = 12
#: Shares below this fill the scale only as far as they deserve.
_LEAST_SHARE = 10.0


@dataclass(frozen=True)
class LayerBar:
    """One layer of the figure.

    Attributes:
        row: Id of its row in the table, which the script looks up.
        name: For the tooltip.
        sqnr_db: At its output; None where it isn't known.
        share: Percent of the final error that it adds; None likewise.
        jump: The first where the error jumps.
    """

    row: str
    name: str
    sqnr_db: float | None
    share: float | None
    jump: bool = False


def layer_figure(bars: Sequence[LayerBar], spoken: str) -> str:
    """The bars, in the order given; empty where no layer has either number."""
    if not any(bar.sqnr_db is not None or bar.share is not None for bar in bars):
        return ""
    known = [bar.sqnr_db for bar in bars if bar.sqnr_db is not None]
    up = Scale(min(0.0, *known, 0.0), max(1.0, *known, 1.0))
    down = Scale(0.0, max(_LEAST_SHARE, *(bar.share or 0.0 for bar in bars)))
    step = 100.0 / len(bars)
    parts = [
        *_grid(up, down),
        *(_bar(bar, i * step, step, up, down) for i, bar in enumerate(bars)),
        f'<line class="zero" x1="0" x2="100%" y1="{_ZERO_PX}" y2="{_ZERO_PX}"/>',
    ]
    height = _ZERO_PX + _LOWER_PX + _BOTTOM_PX
    axis = svg(_names(up, down), height, "Axes: SQNR in dB, share in percent", "axis")
    return f'<div class="plot">{axis}\n{svg(parts, height, spoken, "layers")}</div>'


def _rise(scale: Scale, value: float) -> float:
    return _ZERO_PX - _UPPER_PX * scale.share(value)


def _fall(scale: Scale, value: float) -> float:
    return _ZERO_PX + _LOWER_PX * scale.share(value)


def _heights(up: Scale, down: Scale) -> list[tuple[float, str]]:
    """(y, name) of each line of the grid."""
    lines = [(_rise(up, tick), f"{plain(tick, 0)} dB") for tick in up.ticks(3)]
    return lines + [(_fall(down, tick), f"{tick:g}%") for tick in down.ticks(2) if tick > 0]


def _grid(up: Scale, down: Scale) -> list[str]:
    return [
        f'<line class="grid" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        for y, _ in _heights(up, down)
    ]


def _names(up: Scale, down: Scale) -> list[str]:
    return [
        f'<text x="100%" y="{y + 4:.1f}" text-anchor="end">{name}</text>'
        for y, name in _heights(up, down)
    ]


def _bar(bar: LayerBar, x: float, step: float, up: Scale, down: Scale) -> str:
    parts = []
    if bar.sqnr_db is not None:
        base, top = _rise(up, 0.0), _rise(up, bar.sqnr_db)
        height = max(1.0, abs(base - top))
        parts.append(_rect("sqnr", min(base, top), height))
    if bar.share is not None:
        height = _fall(down, bar.share) - _ZERO_PX
        parts.append(_rect("share", _ZERO_PX + 1, height))
    said = f"{bar.name}: {plain(bar.sqnr_db)} dB, {plain(bar.share)}% of the error"
    kind = "layer jump" if bar.jump else "layer"
    return (
        f'<svg class="{kind}" x="{x:.3f}%" width="{step:.3f}%" data-row="{escape(bar.row)}">'
        f"<title>{escape(said)}</title>"
        f'<rect class="ground" width="100%" height="100%"/>{"".join(parts)}</svg>'
    )


def _rect(kind: str, y: float, height: float) -> str:
    return f'<rect class="{kind}" x="12%" width="76%" y="{y:.1f}" height="{height:.1f}"/>'
