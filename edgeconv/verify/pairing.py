"""Which output of the candidate speaks of which class of the reference.

Classes are the same where their labels are, wherever they stand: a model that was
exported with another order of classes is still the same model, and one whose label
file is off by one is not.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeconv.pictures import printable
from edgeconv.types import Array

__all__ = ["Pairing", "pair_classes"]

_NAMED = 3

#: A class name, and how many classes before it have the same.
_Label = tuple[str, int]


@dataclass(frozen=True)
class Pairing:
    """The candidate's columns in the reference's order of classes.

    Attributes:
        columns: For each class of the reference the candidate's column; None
            where they stand in the same order already.
        note: What a person should know, or "".
    """

    columns: tuple[int, ...] | None = None
    note: str = ""

    def ordered(self, answers: Array) -> Array:
        """``answers`` [N, ...] with the columns in the reference's order."""
        if self.columns is None:
            return answers
        return np.asarray(answers.reshape(len(answers), -1)[:, list(self.columns)])


def pair_classes(
    reference: Sequence[str], candidate: Sequence[str], classes: int | None = None
) -> Pairing:
    """Pair classes by the text of their labels.

    Classes whose label the other side doesn't have are paired in the order in
    which they stand, where both sides have as many of them. So are classes of one
    name: ImageNet has two cranes, a bird and a machine.

    Args:
        reference: Labels by class index; empty where there are none.
        candidate: Likewise.
        classes: Columns that the candidate has; None for one a label.

    Returns:
        The order; none where labels are missing on a side, or their number is
        not that of the columns.
    """
    ours, theirs = _numbered(reference), _numbered(candidate)
    counted = len(candidate) == (len(candidate) if classes is None else classes)
    if not ours or not theirs or ours == theirs or not counted:
        return Pairing()
    place = {label: index for index, label in enumerate(theirs)}
    missing = [label for label in ours if label not in place]
    known = set(ours)
    strange = [label for label in theirs if label not in known]
    if len(missing) == len(ours):
        return Pairing(note="no label occurs on both sides, so classes are paired by their order")
    if len(missing) != len(strange) and missing:
        return Pairing(
            note=f"the candidate has no class {_list(missing)}; classes are paired by their order"
        )
    place.update({label: place[other] for label, other in zip(missing, strange, strict=False)})
    columns = tuple(place[label] for label in ours)
    return Pairing(columns, _note(missing, strange))


def _note(missing: Sequence[_Label], strange: Sequence[_Label]) -> str:
    if missing:
        return (
            f"labels differ: the reference's {_list(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} paired with the candidate's {_list(strange)}"
        )
    if strange:
        return f"the reference has no class {_list(strange)}, which the candidate has: left out"
    return ""


def _list(labels: Sequence[_Label]) -> str:
    named = ", ".join(repr(printable(label)[:40]) for label, _ in labels[:_NAMED])
    more = len(labels) - _NAMED
    return f"{named} and {more} more" if more > 0 else named


def _numbered(labels: Sequence[str]) -> list[_Label]:
    """Each label with how often it has occurred before."""
    seen: Counter[str] = Counter()
    numbered = []
    for label in map(_normal, labels):
        numbered.append((label, seen[label]))
        seen[label] += 1
    return numbered


def _normal(label: str) -> str:
    return unicodedata.normalize("NFC", label.strip())
