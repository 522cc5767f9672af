"""Class weights: N / (classes * N of the class), so that each class counts the same.

A picture of a class that is ten times as rare weighs ten times as much, and no more: from
a single one nothing general can be learnt, however loud it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

__all__ = ["class_weights"]

_MOST_TIMES: Final = 10.0


def class_weights(classes: Sequence[int], count: int) -> tuple[float, ...]:
    """The weight of a picture of each class in the loss.

    Args:
        classes: Class index of each training picture; every class occurs.
        count: Of classes.

    Returns:
        [count]; their mean over the pictures is 1. All are 1 where classes are equally
        frequent.
    """
    found = Counter(classes)
    commonest = max(found.values())
    raw = [min(commonest / found[index], _MOST_TIMES) for index in range(count)]
    mean = sum(weight * found[index] for index, weight in enumerate(raw)) / len(classes)
    return tuple(weight / mean for weight in raw)
