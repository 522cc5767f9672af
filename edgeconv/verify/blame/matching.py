"""Matching: which tensor of the candidate is which tensor of the reference.

Files of edgeconv keep the names that the float graph has. In a stranger's file
names tell little (``StatefulPartitionedCall/model/...;...``), so tensors are aligned
as two sequences of the same computation: in order, of the same size, with values
that go up and down together. A tensor that one side fused away stays unmatched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgeconv.errors import Unsupported
from edgeconv.targets.anatomy import Anatomy, Tensor
from edgeconv.verify.blame.align import align
from edgeconv.verify.blame.glimpse import Glimpse

Shape = tuple[int | None, ...] | None

__all__ = ["Pair", "carries_values", "match", "match_inputs"]

#: Of the reference's tensors; a file that has fewer under their names is a stranger's.
_ENOUGH_NAMES: Final = 0.4
#: Operators that write the number that they read, in another form.
_FORMS: Final = frozenset({"QUANTIZE", "QuantizeLinear", "Cast", "Identity", "CAST"})


@dataclass(frozen=True)
class Pair:
    """A tensor of the reference and the one that stands for it in the candidate."""

    reference: str
    candidate: str


def match_inputs(reference: Anatomy, candidate: Anatomy) -> list[Pair]:
    """The inputs, by name, else in their order.

    Raises:
        Unsupported: The candidate has other inputs.
    """
    if len(reference.inputs) != len(candidate.inputs):
        raise Unsupported(
            f"The file takes {len(candidate.inputs)} inputs, the model {len(reference.inputs)}.",
            "Blame by layers needs a file of the same model.",
        )
    same = set(reference.inputs) == set(candidate.inputs)
    others = reference.inputs if same else candidate.inputs
    pairs = [Pair(*names) for names in zip(reference.inputs, others, strict=True)]
    for pair in pairs:
        wanted, found = (
            reference.tensors[pair.reference].shape,
            candidate.tensors[pair.candidate].shape,
        )
        if not _fits(wanted, found):
            raise Unsupported(
                f"The file's input {pair.candidate[:80]!r} is {_axes(found)}, the model's"
                f" {_axes(wanted)}.",
                "Blame by layers needs a file of the same model, with batch 1 or a free batch.",
            )
    return pairs


def _fits(wanted: Shape, found: Shape) -> bool:
    """Whether an item [1, ...] of one is an item of the other."""
    if wanted is None or found is None:
        return True
    one, other = ((1, *shape[1:]) for shape in (wanted, found))
    alike = len(one) == len(other) and all(
        n is None or m is None or n == m for n, m in zip(one, other, strict=True)
    )
    return alike and found[:1] in ((), (None,), (1,))


def _axes(shape: Shape) -> str:
    return "of no fixed rank" if shape is None else str([n or "any" for n in shape])


def carries_values(tensor: Tensor) -> bool:
    """Whether it holds real numbers, and not counts, shapes or truths."""
    return tensor.scale is not None or tensor.dtype in ("float32", "float16")


def match(
    reference: Anatomy,
    candidate: Anatomy,
    inputs: Sequence[Pair],
    expected: Mapping[str, Glimpse],
    found: Mapping[str, Glimpse],
) -> list[Pair]:
    """Pairs in the order in which the reference computes them, inputs first.

    Args:
        reference: The float graph.
        candidate: The artifact.
        inputs: Their pairs.
        expected: The reference's tensors for one item.
        found: The candidate's for the same item.
    """
    pairs = list(inputs)
    names = [name for step in reference.steps for name in step.outputs if name in expected]
    same = [n for n in names if n in found and expected[n].size == found[n].size]
    if len(same) >= _ENOUGH_NAMES * len(names):
        pairs += [Pair(name, name) for name in same]
    else:
        taken = {pair.candidate for pair in inputs}
        others = _one_form_each(candidate, found, taken)
        # Behind quantization: it may do what an activation did.
        values = {name: found[_last_form(candidate, name)] for name in others}
        pairs += [Pair(*names) for names in align(reference, candidate, expected, values, others)]
    return [Pair(p.reference, _last_form(candidate, p.candidate)) for p in pairs]


def _one_form_each(candidate: Anatomy, found: Mapping[str, Glimpse], taken: set[str]) -> list[str]:
    """The candidate's computed tensors in order, each number in its first form alone."""
    return [
        name
        for step in candidate.steps
        for name in step.outputs
        if name in found and name not in taken and step.op not in _FORMS
    ]


def _last_form(anatomy: Anatomy, name: str) -> str:
    """Behind quantization, where nobody reads the number before it."""
    while name not in anatomy.outputs:
        readers = [step for step in anatomy.steps if name in step.inputs]
        if not readers or any(step.op not in _FORMS for step in readers):
            return name
        if not carries_values(anatomy.tensors[readers[0].outputs[0]]):
            return name
        name = readers[0].outputs[0]
    return name
