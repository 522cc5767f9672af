"""Align two sequences of tensors: the longest common subsequence, weighted by likeness.

    S[i, j] = max(S[i-1, j], S[i, j-1], S[i-1, j-1] + likeness(i, j))

Likeness is the correlation of the values. Repeated blocks look alike, but a matching
that skips one loses its likeness, so the best sum keeps them apart. Where a fault made
the values worthless, the same operator with an output of the same size still counts.

Source: S. B. Needleman, C. D. Wunsch, A general method applicable to the search for
similarities in the amino acid sequence of two proteins, J. Mol. Biol. 48 (1970), 443-453.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from edgeconv.targets.anatomy import Anatomy
from edgeconv.types import Array
from edgeconv.verify.blame.glimpse import Glimpse

__all__ = ["align"]

#: What the same kind of operator is worth where the values correlate by 0.
_SAME_OPERATOR: Final = 0.4
_ACTIVATIONS: Final = frozenset({"Relu", "Clip", "LeakyRelu", "RELU", "RELU6", "LEAKY_RELU"})
#: Behind the alignment, for branches that two files compute in another order.
_SURE: Final = 0.95
_KINDS: Final = {
    "CONV_2D": "conv",
    "DEPTHWISE_CONV_2D": "conv",
    "Conv": "conv",
    "FusedConv": "conv",
    "QLinearConv": "conv",
    "ConvInteger": "conv",
    "FULLY_CONNECTED": "dense",
    "Gemm": "dense",
    "MatMul": "dense",
    "QLinearMatMul": "dense",
    "QGemm": "dense",
}


def align(
    reference: Anatomy,
    candidate: Anatomy,
    expected: Mapping[str, Glimpse],
    found: Mapping[str, Glimpse],
    others: Sequence[str],
) -> list[tuple[str, str]]:
    """Pairs of names in the reference's order.

    Args:
        reference: The float graph.
        candidate: The artifact.
        expected: The reference's tensors for one item.
        found: The candidate's likewise.
        others: The candidate's tensors to choose from, in its order.
    """
    names = [name for step in reference.steps for name in step.outputs if name in expected]
    likeness = _likeness([expected[n] for n in names], [found[n] for n in others])
    alike = _same_kind(_kinds(reference, names), _kinds(candidate, others))
    # Values that fit need no operator that does.
    score = np.where(likeness >= 0, likeness + _SAME_OPERATOR * alike * (1 - likeness), -1.0)
    chosen = _best_path(score)
    chosen.update(_swapped(likeness, chosen))
    return [(names[i], others[j]) for i, j in sorted(chosen.items())]


def _likeness(left: Sequence[Glimpse], right: Sequence[Glimpse]) -> Array:
    """|correlation| of each with each; -1 where the sizes differ."""
    table = np.full((len(left), len(right)), -1.0)
    sizes = [value.size for value in left], [value.size for value in right]
    for size in sorted(set(sizes[0]) & set(sizes[1])):
        rows = [i for i, n in enumerate(sizes[0]) if n == size]
        columns = [j for j, n in enumerate(sizes[1]) if n == size]
        one = np.stack([left[i].sample for i in rows])
        other = np.stack([right[j].sample for j in columns])
        table[np.ix_(rows, columns)] = np.clip(one @ other.T, 0.0, 1.0)
    return table


def _kinds(anatomy: Anatomy, names: Sequence[str]) -> list[str]:
    """What each tensor is, where the same computation may be fused or not.

    Behind an activation it is what the activation follows (``conv``); before one it
    is something that a file with a fused activation doesn't have (``before conv``).
    """
    writers = {name: step for step in anatomy.steps for name in step.outputs}
    bare = {step.inputs[0] for step in anatomy.steps if step.op in _ACTIVATIONS and step.inputs}
    found = []
    for name in names:
        step = writers[name]
        if step.op in _ACTIVATIONS and step.inputs:
            step = writers.get(step.inputs[0], step)
        kind = _KINDS.get(step.op, step.op.lower())
        found.append(f"before {kind}" if name in bare else kind)
    return found


def _same_kind(left: Sequence[str], right: Sequence[str]) -> Array:
    table: Array = np.asarray([[a == b for b in right] for a in left], float)
    return table.reshape(len(left), len(right))


def _best_path(score: Array) -> dict[int, int]:
    rows, columns = score.shape
    total = np.zeros((rows + 1, columns + 1))
    for i in range(rows):
        diagonal = total[i, :-1] + np.maximum(score[i], 0.0)
        # The running maximum is S[i, j-1] of every column at once.
        total[i + 1, 1:] = np.maximum.accumulate(np.maximum(total[i, 1:], diagonal))
    chosen, i, j = {}, rows, columns
    while i and j:
        if total[i, j] == total[i, j - 1]:
            j -= 1
        elif total[i, j] == total[i - 1, j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            chosen[i] = j
    return chosen


def _swapped(likeness: Array, chosen: Mapping[int, int]) -> dict[int, int]:
    """What is left over on both sides and is surely the same."""
    found: dict[int, int] = {}
    free = set(range(likeness.shape[1])) - set(chosen.values())
    for i in range(likeness.shape[0]):
        best = max(sorted(free), key=lambda j: float(likeness[i, j]), default=None)
        if i not in chosen and best is not None and likeness[i, best] >= _SURE:
            found[i] = best
            free.discard(best)
    return found
