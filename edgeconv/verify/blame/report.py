"""What blame tells of a layer, in plain JSON types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgeconv.targets.anatomy import Anatomy
from edgeconv.types import Array
from edgeconv.verify.blame.gauge import Gauge, decibels
from edgeconv.verify.blame.ranges import (
    activation_range,
    counts,
    ends,
    histogram,
    kernels,
    weight_range,
)
from edgeconv.verify.blame.reasons import reason
from edgeconv.verify.blame.runs import Viewer
from edgeconv.verify.blame.units import Unit

__all__ = ["entries", "first_jump", "with_histograms"]

#: Layers whose histograms are told.
_DRAWN: Final = 3
#: Items that are counted in them.
_DRAWN_ITEMS: Final = 2
#: A jump: the SQNR falls by as much from a layer's worst input to its output ...
_JUMP_DB: Final = 10.0
#: ... where whatever is better than int8 at its usual counts as this.
_GOOD_DB: Final = 40.0


def entries(
    reference: Anatomy,
    candidate: Anatomy,
    units: Sequence[Unit],
    gauges: Sequence[Gauge],
    shares: Sequence[float],
) -> list[dict[str, Any]]:
    """One dict a unit, the largest share first."""
    jump = first_jump(units, gauges)
    ranked = sorted(units, key=lambda unit: (-shares[unit.order], unit.order))
    return [
        _entry(reference, candidate, unit, gauges[unit.order])
        | {"share": shares[unit.order], "jump": unit.order == jump}
        for unit in ranked
    ]


def first_jump(units: Sequence[Unit], gauges: Sequence[Gauge]) -> int | None:
    """Order of the first unit where the error jumps; None where it nowhere does."""
    for unit in units:
        before = [_sqnr(gauges[order]) for order in unit.before]
        if min([_GOOD_DB, *before]) - _sqnr(gauges[unit.order]) >= _JUMP_DB:
            return unit.order
    return None


def with_histograms(
    found: Sequence[dict[str, Any]],
    reference: Anatomy,
    candidate: Anatomy,
    units: Sequence[Unit],
    views: Callable[[Sequence[Unit]], Iterable[Viewer]],
    items: Iterable[Sequence[Array]],
) -> list[dict[str, Any]]:
    """``found``, the first three with the histograms of weights and activation."""
    worst = sorted(entry["order"] for entry in found[:_DRAWN])
    drawn = {order: {} for order in worst}  # type: dict[int, dict[str, Any]]
    for order in worst:
        weights = _weight_histogram(reference, candidate, units[order])
        if weights is not None:
            drawn[order]["weights"] = weights
    seen = list(items)[:_DRAWN_ITEMS]
    for view in views([units[order] for order in worst]):
        for order, activation in _activations(view, seen):
            drawn[order]["activation"] = activation
    return [
        entry | ({"histograms": drawn[entry["order"]]} if entry["order"] in drawn else {})
        for entry in found
    ]


def _entry(reference: Anatomy, candidate: Anatomy, unit: Unit, gauge: Gauge) -> dict[str, Any]:
    held = kernels(reference, candidate, unit)
    entry: dict[str, Any] = {
        "name": unit.name,
        "op": unit.op,
        "sqnr_db": decibels(gauge.signal, gauge.noise),
        "local_sqnr_db": decibels(gauge.signal, gauge.local_noise),
        "order": unit.order,
        "reason": reason(unit, gauge, held),
        "activation": activation_range(gauge, gauge.representable),
    }
    return entry if held is None else entry | {"weights": weight_range(held)}


def _sqnr(gauge: Gauge) -> float:
    """SQNR in dB with ends: as good as int8 gets, and nothing right any more."""
    if gauge.noise <= 0.0:
        return _GOOD_DB
    found = decibels(gauge.signal, gauge.noise)
    return min(_GOOD_DB, found) if found is not None else -_GOOD_DB


def _weight_histogram(
    reference: Anatomy, candidate: Anatomy, unit: Unit
) -> Mapping[str, Any] | None:
    held = kernels(reference, candidate, unit)
    if held is None:
        return None
    both = [held.expected] if held.found is None else [held.expected, held.found]
    return histogram(held.expected, held.found, *ends(both))


def _activations(
    view: Viewer, items: Sequence[Sequence[Array]]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Histograms of the outputs of a chunk, over all items: first the edges, then the counts."""
    edges: dict[int, tuple[float, float]] = {}
    for item in items:
        for unit, look in view(item):
            low, high = ends((look.expected, look.found))
            before = edges.get(unit.order, (low, high))
            edges[unit.order] = min(low, before[0]), max(high, before[1])
    sums: dict[int, Array] = {}
    for item in items:
        for unit, look in view(item):
            both = (look.expected, look.found)
            added = np.asarray([counts(value, *edges[unit.order]) for value in both])
            sums[unit.order] = sums.get(unit.order, 0) + added
    for order, (low, high) in edges.items():
        expected, found = sums[order].tolist()
        yield order, {"low": low, "high": high, "counts": expected, "candidate_counts": found}
