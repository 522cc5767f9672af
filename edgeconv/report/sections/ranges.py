"""What the weights and the activation of a layer held, in float and now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgeconv.report.facts import pointer
from edgeconv.report.figures import Histogram, histogram_figure
from edgeconv.report.text import MISSING, number, real

__all__ = ["histograms", "range_cell"]

#: More bins than this are more than the figure has pixels.
_MOST_BINS = 512


def range_cell(key: str) -> Callable[[Mapping[str, Any], str], str]:
    """A cell with the smallest and largest value of a layer's ``key``."""

    def write(layer: Mapping[str, Any], at: str) -> str:
        found = layer.get(key)
        if not isinstance(found, Mapping):
            return MISSING
        low, high = (
            number(found.get(end), "", 2, pointer(at, key, end)) for end in ("low", "high")
        )
        return MISSING if MISSING in (low, high) else f"{low} to {high}"

    return write


def histograms(layer: Mapping[str, Any]) -> str:
    """A figure each for weights and activation, as far as they are sound."""
    given = layer["histograms"]
    parts = []
    for key, name in (("weights", "Weights"), ("activation", "Activation")):
        found = _histogram(given.get(key), layer.get(key))
        if found is not None:
            svg = histogram_figure(found, f"{name} of {layer.get('name', '')}")
            parts.append(f"<figure><h5>{name}</h5>\n{svg}\n</figure>")
    body = "\n".join(parts)
    return f'<div class="pair">\n{body}\n</div>' if parts else ""


def _histogram(given: object, facts: object) -> Histogram | None:
    if not isinstance(given, Mapping):
        return None
    low, high = real(given.get("low")), real(given.get("high"))
    counts, now = _counts(given.get("counts")), _counts(given.get("candidate_counts"))
    if low is None or high is None or not low < high or not counts:
        return None
    limits = facts.get("representable") if isinstance(facts, Mapping) else None
    return Histogram(low, high, counts, now, _pair(limits))


def _counts(given: object) -> tuple[float, ...]:
    if not isinstance(given, list | tuple) or len(given) > _MOST_BINS:
        return ()
    found = tuple(real(count) for count in given)
    return tuple(count or 0.0 for count in found)


def _pair(given: object) -> tuple[float, float] | None:
    if not isinstance(given, list | tuple) or len(given) != 2:
        return None
    low, high = real(given[0]), real(given[1])
    return None if low is None or high is None else (low, high)
