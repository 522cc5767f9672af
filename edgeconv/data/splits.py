"""One set -> calibration and parity, which share no item.

Which side an item falls on depends on its content and the seed, not on its
name or place, so a renamed or reordered set splits the same way. Copies of an
item stay together. Classes are divided in the same share as the whole.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict

from edgeconv.data.items import Items
from edgeconv.errors import UsageError

__all__ = ["split"]


def split(dataset: Items, parity_share: float = 0.5, seed: int = 0) -> tuple[Items, Items]:
    """Divide ``dataset`` in two.

    Args:
        dataset: At least two different items.
        parity_share: Of the items, between 0 and 1, that judge.
        seed: Another gives another division.

    Returns:
        (calibration, parity), each in the set's own order.

    Raises:
        UsageError: All items are the same, or the share leaves no two sides.
    """
    if not 0 < parity_share < 1:
        raise UsageError(f"The parity share is {parity_share}.", "It must lie between 0 and 1.")
    hashes = dataset.item_hashes()
    groups = _copies(hashes)
    if len(groups) < 2:
        raise UsageError(
            f"{dataset.name} has only one item to calibrate with, none is left to judge by.",
            "Give another set with --parity, or more items.",
        )
    parity = _chosen(_ordered(dataset, groups, seed), parity_share)
    sides: tuple[list[int], list[int]] = ([], [])
    for position, content in enumerate(hashes):
        sides[content in parity].append(position)
    calibration, judged = (dataset.select(side) for side in sides)
    return calibration, judged


def _copies(hashes: tuple[str, ...]) -> dict[str, list[int]]:
    """Content hash -> positions that hold it."""
    groups: dict[str, list[int]] = defaultdict(list)
    for position, content in enumerate(hashes):
        groups[content].append(position)
    return dict(groups)


def _ordered(dataset: Items, groups: dict[str, list[int]], seed: int) -> list[tuple[str, int]]:
    """(content hash, copies), classes one after another, both shuffled by the seed."""
    labels = dataset.labels

    def key(content: str) -> tuple[str, str]:
        # Copies that disagree about their class still count once.
        label = "" if labels is None else str(min(labels[place] for place in groups[content]))
        return _keyed(seed, "class " + label), _keyed(seed, content)

    return [(content, len(groups[content])) for content in sorted(groups, key=key)]


def _keyed(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed} {text}".encode()).hexdigest()


def _chosen(ordered: list[tuple[str, int]], share: float) -> set[str]:
    """Walk through and pick whenever half an item or more is owed.

    The debt carries over from class to class, so that classes of one item
    each are divided too.
    """
    chosen, owed = set(), 0.0
    for content, copies in ordered:
        owed += share * copies
        if owed >= copies / 2:
            chosen.add(content)
            owed -= copies
    # A share near 0 or 1 of a small set: neither side may be empty.
    if not chosen:
        chosen.add(ordered[0][0])
    elif len(chosen) == len(ordered):
        chosen.remove(ordered[0][0])
    return chosen
