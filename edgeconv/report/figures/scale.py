"""From values to places, and what every figure is wrapped in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgeconv.report.text import escape

__all__ = ["Scale", "svg", "upright"]


@dataclass(frozen=True)
class Scale:
    """From values to percent of the width."""

    low: float
    high: float

    def at(self, value: float) -> str:
        """Where ``value`` stands, cut at both ends."""
        return f"{100.0 * self.share(value):.2f}%"

    def share(self, value: float) -> float:
        """The same from 0 to 1."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return min(1.0, max(0.0, share))

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers, at most ``most`` steps apart."""
        rough = (self.high - self.low) / most
        if not 1e-300 < rough < 1e300:
            return []
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next((unit * k for k in (1, 2, 5, 10) if unit * k >= rough), 10.0 * unit)
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]


def upright(kind: str, x: str, top: int, bottom: int) -> str:
    """A vertical line of class ``kind``."""
    return f'<line class="{kind}" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'


def svg(parts: Sequence[str], height: int, spoken: str, kind: str = "") -> str:
    """The figure; ``spoken`` is what a screen reader says for it."""
    body = "\n".join(parts)
    named = f' class="{kind}"' if kind else ""
    return (
        f'<svg{named} role="img" width="100%" height="{height}" aria-label="{escape(spoken)}">\n'
        f"{body}\n</svg>"
    )
