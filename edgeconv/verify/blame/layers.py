"""Blame: which layer of a candidate is at fault, by how much, and why.

1. match     tensors of the float graph with those of the candidate
2. look      at both, whole and unit by unit, item by item
3. share     how much of each unit's own error arrives at the outputs
4. explain   weights, ranges and clipping behind the worst
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgeconv.errors import EdgeconvError, Unsupported, UsageError
from edgeconv.progress import Progress, Silent
from edgeconv.targets import TARGETS, Target
from edgeconv.targets.anatomy import Anatomy
from edgeconv.types import Array, Artifact, FloatGraph
from edgeconv.verify.blame.gauge import Gauge
from edgeconv.verify.blame.glimpse import Glimpse, glimpses
from edgeconv.verify.blame.matching import Pair, carries_values, match, match_inputs
from edgeconv.verify.blame.report import entries, with_histograms
from edgeconv.verify.blame.runs import Viewer, chunks
from edgeconv.verify.blame.share import shares
from edgeconv.verify.blame.units import Unit, units

__all__ = ["blame", "opened"]

#: Items that are looked at; the sums hardly change with more.
_MOST_ITEMS: Final = 8


def blame(
    artifact: Artifact,
    graph: FloatGraph,
    x: Sequence[Array],
    progress: Progress | None = None,
) -> tuple[Mapping[str, Any], ...]:
    """Compare a file with its float model layer by layer.

    Args:
        artifact: Any file of the model in the format of ``graph``; edgeconv's own or
            another converter's.
        graph: The model lowered to that format.
        x: One float32 array [N, ...] an input, preprocessed; the first 8 items are used.
        progress: Advanced an item at a time.

    Returns:
        One mapping a layer, the worst first; see the package's docstring for its keys.

    Raises:
        UsageError: There is no item.
        Unsupported: The file has other inputs, or its engine can't run parts of it.
    """
    watch = progress or Silent()
    target = TARGETS[graph.format]
    reference = target.anatomy(graph.path.read_bytes())
    candidate = opened(target, artifact)
    items = _items(x, [reference.tensors[name].dtype for name in reference.inputs])
    inputs = match_inputs(reference, candidate)
    expected, found = first_look(reference, candidate, inputs, items[0])
    pairs = match(reference, candidate, inputs, expected, found)
    sizes = {name: value.size for name, value in expected.items()}
    found_units = units(reference, candidate, pairs, target.layers(graph))
    gauges = [_gauge(candidate, unit) for unit in found_units]
    kept: dict[tuple[int, ...], Viewer] = {}

    def views(chosen: Sequence[Unit]) -> Iterator[Viewer]:
        for chunk in chunks(chosen, sizes):
            key = tuple(unit.order for unit in chunk)
            if key not in kept:
                # One at a time: each holds both models twice, and who asked may hold the last.
                for last in kept.values():
                    last.close()
                kept.clear()
                kept[key] = Viewer(reference, candidate, inputs, pairs, chunk)
            yield kept[key]

    for view in views(found_units):
        for item in items:
            for unit, look in view(item):
                gauges[unit.order].add(look)
            watch.advance()
    parts = shares(reference, views, found_units, gauges, items, sizes)
    told = entries(reference, candidate, found_units, gauges, parts)
    return tuple(with_histograms(told, reference, candidate, found_units, views, items))


def opened(target: Target, artifact: Artifact) -> Anatomy:
    """The inside of a file that anyone may have written.

    Args:
        target: Its format.
        artifact: Where it lies.

    Raises:
        Unsupported: It can't be parsed.
    """
    try:
        return target.anatomy(artifact.path.read_bytes())
    except EdgeconvError:
        raise
    # Parsers of broken files raise whatever their first wrong offset leads to.
    except Exception as error:
        raise Unsupported(
            f"{artifact.path.name} can't be looked into: {type(error).__name__}.",
            "Parity itself doesn't need this; only the blame by layers is left out.",
        ) from error


def _items(x: Sequence[Array], dtypes: Sequence[str]) -> list[tuple[Array, ...]]:
    count = min((len(array) for array in x), default=0)
    if count == 0:
        raise UsageError("There is no item to compare layers on.", "Give at least one.")
    return [
        tuple(
            np.ascontiguousarray(array[i : i + 1], dtype)
            for array, dtype in zip(x, dtypes, strict=True)
        )
        for i in range(min(count, _MOST_ITEMS))
    ]


def first_look(
    reference: Anatomy, candidate: Anatomy, inputs: Sequence[Pair], item: Sequence[Array]
) -> tuple[Mapping[str, Glimpse], Mapping[str, Glimpse]]:
    """Every real-valued tensor of both files for one item."""
    feeds = dict(zip(reference.inputs, item, strict=True))
    raw = {p.candidate: candidate.tensors[p.candidate].stored(feeds[p.reference]) for p in inputs}
    names = [n for n, tensor in reference.tensors.items() if tensor.dtype == "float32"]
    others = [n for n, tensor in candidate.tensors.items() if carries_values(tensor)]
    return glimpses(reference, names, feeds), glimpses(candidate, others, raw)


def _gauge(candidate: Anatomy, unit: Unit) -> Gauge:
    tensor = candidate.tensors[unit.pair.candidate]
    products = unit.expected is not None and unit.expected.op == "MatMul"
    return Gauge(tensor.representable, -1 if products else tensor.channel_axis)
