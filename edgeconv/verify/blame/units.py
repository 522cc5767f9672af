"""Units: the pieces of the float graph that blame is measured on.

A unit is what stands between one matched tensor and the matched ones before it: a
convolution with its activation, an addition, an average. It bears the name of its
layer, that of the operator with the kernel first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from edgeconv.targets.anatomy import Anatomy, Step, needed
from edgeconv.targets.names import number_repeats
from edgeconv.types import Layer
from edgeconv.verify.blame.matching import Pair

__all__ = ["Unit", "units"]

#: Operators that put values in another order or shape.
_LAYOUTS: Final = frozenset({"Transpose", "Reshape", "Identity", "TRANSPOSE", "RESHAPE"})


@dataclass(frozen=True)
class Unit:
    """A layer as blame sees it.

    Attributes:
        name: Keras layer name; ``add#2`` where a layer makes more than one unit.
        op: Its main operator, in the float file's words; ``INPUT`` for an input.
        order: Position in the graph, from 0.
        pair: Its output in both files.
        before: Order of the units whose outputs it reads.
        expected: Its main operator in the float file; None for an input.
        found: Its main operator in the candidate; None where it isn't clear.
    """

    name: str
    op: str
    order: int
    pair: Pair
    before: tuple[int, ...]
    expected: Step | None
    found: Step | None


def units(
    reference: Anatomy, candidate: Anatomy, pairs: Sequence[Pair], layers: Sequence[Layer]
) -> list[Unit]:
    """One unit a pair, in their order; none for an input that is taken as it is.

    Args:
        reference: The float graph.
        candidate: The artifact.
        pairs: Of their tensors.
        layers: Of the float graph, for the names.
    """
    names = {layer.output: layer.name for layer in layers}
    told = [pair for pair in pairs if not _is_plain_input(reference, candidate, pair)]
    place = {pair.reference: order for order, pair in enumerate(told)}
    ends = {pair.reference for pair in pairs}, {pair.candidate for pair in pairs}
    found: list[Unit] = []
    for order, pair in enumerate(told):
        indices, before = needed(reference.steps, [pair.reference], ends[0])
        expected = _main([reference.steps[i] for i in indices])
        fed = _is_input(reference, pair.reference)
        found.append(
            Unit(
                name=fed or _name(expected, names),
                op="INPUT" if fed or expected is None else expected.op,
                order=order,
                pair=pair,
                before=tuple(sorted(place[name] for name in before if name in place)),
                expected=expected,
                found=_counterpart(candidate, pair.candidate, ends[1]),
            )
        )
    numbered = number_repeats([unit.name for unit in found])
    return [
        Unit(**{**vars(unit), "name": name}) for unit, name in zip(found, numbered, strict=True)
    ]


def _is_plain_input(reference: Anatomy, candidate: Anatomy, pair: Pair) -> bool:
    tensor = candidate.tensors[pair.candidate]
    fed = pair.reference in reference.inputs and pair.candidate in candidate.inputs
    return fed and tensor.scale is None and tensor.dtype != "float16"


def _counterpart(candidate: Anatomy, output: str, ends: Collection[str]) -> Step | None:
    indices, _ = needed(candidate.steps, [output], ends)
    return _main([candidate.steps[i] for i in indices])


def _main(steps: Sequence[Step]) -> Step | None:
    """The last step with a kernel, or the last of all."""
    weighted = [step for step in steps if step.kernel]
    chosen = weighted or list(steps)
    return chosen[-1] if chosen else None


def _name(step: Step | None, names: dict[str, str]) -> str:
    return "" if step is None else names.get(step.outputs[0], step.outputs[0])


def _is_input(reference: Anatomy, name: str) -> str:
    """The input whose values a tensor holds in another layout at most, or ""."""
    writers = {output: step for step in reference.steps for output in step.outputs}
    while name not in reference.inputs:
        step = writers[name]
        if step.op not in _LAYOUTS or len(step.inputs) != 1:
            return ""
        name = step.inputs[0]
    return name
