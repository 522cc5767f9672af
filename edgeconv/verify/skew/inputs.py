"""The same few items, made into inputs in many ways; read again only where they must be.

items ──resize, crop──► raw pixels, kept ──channel order, scale, offset──► x
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from edgeconv.preprocess import Preprocess, normalize
from edgeconv.types import Array, Batch
from edgeconv.verify.skew.fit import places
from edgeconv.verify.skew.hypotheses import Hypothesis

__all__ = ["TURNS", "Kitchen", "Rereadable"]

#: What may have happened to the axes of [N, ...] besides the declared layout. Where the
#: bytes were reshaped and not transposed, the values are poured in another order.
TURNS: Mapping[str, Callable[[Array], Array]] = {
    "rows and columns swapped": lambda x: x.swapaxes(1, 2),
    "the values poured channels first": lambda x: np.moveaxis(x, -1, 1),
    "the values poured channels last": lambda x: np.moveaxis(x, 1, -1),
    "the values read as channels first": lambda x: np.moveaxis(
        x.reshape(len(x), x.shape[-1], *x.shape[1:-1]), 1, -1
    ),
    "the values read as channels last": lambda x: np.moveaxis(
        x.reshape(len(x), *x.shape[2:], x.shape[1]), -1, 1
    ),
}


class Rereadable(Protocol):
    """A dataset that can be seen through another Preprocess, as ``data.Items`` can."""

    def __len__(self) -> int: ...

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield all items in order, ``size`` at a time."""

    def with_preprocess(self, preprocess: Preprocess) -> Rereadable:
        """The same items, made into inputs in another way."""


class Kitchen:
    """Makes inputs; keeps the raw values of the last two geometries.

    Args:
        items: The few.
    """

    def __init__(self, items: Rereadable) -> None:
        self._items = items
        self._raw: dict[Preprocess, tuple[Array, ...]] = {}

    def inputs(self, hypothesis: Hypothesis, count: int) -> tuple[Array, ...]:
        """float32 [count, ...] of each model input, of items evenly spread.

        Raises:
            RefusedInput: An item doesn't go with the hypothesis.
        """
        chosen = places(len(self._items), count)
        raw = self._raw_of(hypothesis.preprocess)
        x = tuple(normalize(hypothesis.preprocess, values[chosen]) for values in raw)
        return tuple(_turned(values, hypothesis.turn) for values in x)

    def _raw_of(self, preprocess: Preprocess) -> tuple[Array, ...]:
        plain: dict[str, object] = {"scale": (1.0,), "offset": (0.0,), "layout": "nhwc"}
        if preprocess.color == "bgr":
            plain["color"] = "rgb"
        key = replace(preprocess, **plain)  # type: ignore[arg-type]
        if key not in self._raw:
            batch = next(self._items.with_preprocess(key).batches(len(self._items)))
            while len(self._raw) > 1:  # 24 pictures of 224 pixels are 14 MB each time
                del self._raw[next(iter(self._raw))]
            self._raw[key] = batch.x
        return self._raw[key]


def _turned(x: Array, turn: str) -> Array:
    """The axes in another order, poured into the declared shape as a reshape does it."""
    if not turn or x.ndim < 3:
        return x
    return np.ascontiguousarray(TURNS[turn](x)).reshape(x.shape)
