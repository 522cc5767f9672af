"""Glimpse: what matching keeps of a tensor, which may have millions of values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from edgeconv.targets.anatomy import Anatomy
from edgeconv.types import Array

__all__ = ["Glimpse", "glimpse", "glimpses"]

#: Values of a tensor that are compared; more tell no more.
_SAMPLE: Final = 4096
#: Values that one run gives out at most.
_MOST_VALUES: Final = 32_000_000
#: Values of a tensor whose shape is unknown before it is run.
_UNKNOWN: Final = 1_000_000


class Glimpse(NamedTuple):
    """A tensor for one item.

    Attributes:
        size: How many values it has.
        sample: float64, some of them, centred, of length one.
    """

    size: int
    sample: Array


def glimpse(value: Array) -> Glimpse:
    """Of real values."""
    flat = value.reshape(-1)
    # An odd stride doesn't fall into step with the channels.
    stride = max(1, flat.size // _SAMPLE) | 1
    some = np.nan_to_num(flat[::stride].astype(np.float64), posinf=0.0, neginf=0.0)
    some = some - some.mean() if some.size else some
    length = float(np.linalg.norm(some))
    return Glimpse(flat.size, some / length if length > 0 else some)


def glimpses(
    anatomy: Anatomy, names: Sequence[str], feeds: Mapping[str, Array]
) -> dict[str, Glimpse]:
    """Of the tensors ``names`` for the item ``feeds``, some at a time."""
    found = {}
    for part in _parts(anatomy, names):
        for name, value in anatomy.session(part)(feeds).items():
            found[name] = glimpse(anatomy.tensors[name].real(value))
    return {name: found[name] for name in names}


def _parts(anatomy: Anatomy, names: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    total = 0
    for name in names:
        shape = anatomy.tensors[name].shape
        size = _UNKNOWN if shape is None else math.prod(abs(n or 1) for n in shape)
        if part and total + size > _MOST_VALUES:
            yield part
            part, total = [], 0
        part.append(name)
        total += size
    if part:
        yield part
