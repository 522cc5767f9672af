"""Training, validation and test, class by class, by content.

Which side a picture falls on depends on its content and the seed, not on its name or
place. Copies of a picture stay together. Each class is divided in the same shares.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from edgeconv.errors import RefusedInput

__all__ = ["TEST", "TRAIN", "VALIDATION", "divide", "refuse_contradictions"]

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
#: Of each class: enough to judge by, and most is left to learn from.
_SHARES: Final[Mapping[str, float]] = {VALIDATION: 0.15, TEST: 0.15}


def divide(
    hashes: Sequence[str], classes: Sequence[int], seed: int, *, with_test: bool = True
) -> tuple[str, ...]:
    """The side of each picture.

    Of a class with two different pictures one trains and one validates; a single one trains.

    Args:
        hashes: SHA-256 of each picture's content.
        classes: Class index of each; copies have the same, see ``refuse_contradictions``.
        seed: Another gives another division.
        with_test: Else nothing is kept for the test.

    Returns:
        ``train``, ``validation`` or ``test`` for each picture.
    """
    wanted = (VALIDATION, TEST) if with_test else (VALIDATION,)
    members: dict[int, set[str]] = defaultdict(set)
    for content, index in zip(hashes, classes, strict=True):
        members[index].add(content)
    side: dict[str, str] = {}
    for contents in members.values():
        shuffled = sorted(contents, key=lambda content: _keyed(seed, content))
        for name in wanted:
            # Each side has one before another has a second, and training has the first.
            count = max(1, round(_SHARES[name] * len(contents)))
            count = max(0, min(count, len(shuffled) - 1))
            side |= dict.fromkeys(shuffled[:count], name)
            shuffled = shuffled[count:]
        side |= dict.fromkeys(shuffled, TRAIN)
    return tuple(side[content] for content in hashes)


def _keyed(seed: int, content: str) -> str:
    return hashlib.sha256(f"finetune {seed} {content}".encode()).hexdigest()


def refuse_contradictions(
    hashes: Sequence[str], classes: Sequence[int], files: Sequence[str], folder: str
) -> None:
    """See that no picture stands in two classes.

    Args:
        hashes: SHA-256 of each picture's content.
        classes: Class index of each.
        files: A name for each.
        folder: What messages call the whole.

    Raises:
        RefusedInput: One does; the message names both files.
    """
    known: dict[str, int] = {}
    contradictions = []
    for place, content in enumerate(hashes):
        first = known.setdefault(content, place)
        if classes[first] != classes[place]:
            contradictions.append((files[first], files[place]))
    if contradictions:
        (one, other), more = contradictions[0], len(contradictions) - 1
        rest = f", and {more} more {'pair' if more == 1 else 'pairs'}" if more else ""
        raise RefusedInput(
            f"{folder}: {one} and {other} are the same picture in two classes{rest}.",
            "Remove it from the class that it doesn't belong to.",
        )
