"""Share: how much of the error at the outputs each unit adds.

    E_u = |F(x; u + e_u) - F(x)|^2 / |F(x)|^2        share_u = E_u / sum of all E

e_u is what the unit alone adds (see ``runs``), put into the float model at the unit's
output; what comes out of the model's other end is the unit's doing alone. Errors of
different units are taken for independent, so their energies add up.

A run of the whole model a unit and item is dear, so it is done for as many as _WORK
allows, those with the most noise first. The gain E_u / |e_u|^2 of a unit hardly
changes from item to item: |e_u|^2 is that of all items, and units that had no run get
the median of the others' gains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from edgeconv.targets.anatomy import Anatomy, Step
from edgeconv.types import Array
from edgeconv.verify.blame.gauge import Gauge, energy
from edgeconv.verify.blame.runs import Viewer
from edgeconv.verify.blame.units import Unit

__all__ = ["shares"]

#: Multiplications that all runs may take; 1 s on one core of 2023.
_WORK: Final = 6e10
#: What moving one value costs, in multiplications.
_MOVE: Final = 20
_MOST_ITEMS: Final = 2
#: Below that part of the largest noise-to-signal ratio a unit adds nothing.
_NOTHING: Final = 1e-9


def shares(
    reference: Anatomy,
    views: Callable[[Sequence[Unit]], Iterable[Viewer]],
    units: Sequence[Unit],
    gauges: Sequence[Gauge],
    items: Sequence[Sequence[Array]],
    sizes: Mapping[str, int],
) -> list[float]:
    """Percent of the final error, a unit each.

    Args:
        reference: The float graph.
        views: Units -> what looks at them, chunk by chunk.
        units: All of them.
        gauges: Theirs, after all items.
        items: The items; the first few are run.
        sizes: The reference's tensor -> values of an item.
    """
    broken = [not math.isfinite(gauge.local_noise) for gauge in gauges]
    if any(broken):
        return [100.0 * each / sum(broken) for each in broken]
    ratios = [_ratio(gauge) for gauge in gauges]
    least = _NOTHING * max(ratios, default=0.0)
    noisy = [u for u in units if ratios[u.order] > least]
    noisy.sort(key=lambda unit: (-ratios[unit.order], unit.order))
    cost = _cost(reference, sizes)
    runs = max(1, int(_WORK / max(cost, 1.0)))
    chosen = sorted(noisy[:runs], key=lambda unit: unit.order)
    count = min(_MOST_ITEMS, len(items), max(1, runs // max(1, len(chosen))))
    gains = _gains(reference, views(chosen), items[:count], gauges)
    typical = float(np.median(list(gains.values()))) if gains else 0.0
    arrived = [0.0] * len(units)
    for unit in noisy:
        arrived[unit.order] = gains.get(unit.order, typical) * ratios[unit.order]
    total = sum(arrived)
    return [100.0 * each / total if total > 0.0 else 0.0 for each in arrived]


def _ratio(gauge: Gauge) -> float:
    """Noise to signal of what a unit adds; a unit that should be 0 counts by its noise."""
    return gauge.local_noise / gauge.signal if gauge.signal > 0.0 else gauge.local_noise


def _gains(
    reference: Anatomy,
    views: Iterable[Viewer],
    items: Sequence[Sequence[Array]],
    gauges: Sequence[Gauge],
) -> dict[int, float]:
    """Order of a unit -> E_u over its noise-to-signal ratio, over the items."""
    arrived: dict[int, float] = {}
    left: dict[int, float] = {}
    for view in views:
        names = [unit.pair.reference for unit in view.chunk]
        run = reference.session(reference.outputs, added=names)
        for item in items:
            feeds = dict(zip(reference.inputs, item, strict=True))
            truth = run(feeds)
            for unit, look in view(item):
                error = look.local_found - look.local_expected
                answer = run(feeds, {unit.pair.reference: error})
                arrived[unit.order] = arrived.get(unit.order, 0.0) + _distance(truth, answer)
                left[unit.order] = left.get(unit.order, 0.0) + energy(error)
    return {
        order: arrived[order] * (gauges[order].signal or 1.0) / left[order]
        for order in arrived
        if left[order] > 0.0
    }


def _distance(truth: Mapping[str, Array], answer: Mapping[str, Array]) -> float:
    """Energy of the difference over that of the truth, summed over the outputs."""
    total = 0.0
    for name, value in truth.items():
        if value.dtype == np.float32:
            difference = energy(answer[name] - value)
            total += difference / (energy(value) or 1.0)
    return total if math.isfinite(total) else 1e30


def _cost(reference: Anatomy, sizes: Mapping[str, int]) -> float:
    """Multiplications of one run, roughly."""
    return float(sum(_step_cost(reference, step, sizes) for step in reference.steps))


def _step_cost(reference: Anatomy, step: Step, sizes: Mapping[str, int]) -> int:
    values = sum(sizes.get(name, 0) for name in step.outputs)
    kernel = reference.kernel(step) if step.kernel else None
    if kernel is None:
        return _MOVE * values
    channels = int(kernel.shape[reference.kernel_axis(step)])
    return values * (_MOVE + kernel.size // max(1, channels))
