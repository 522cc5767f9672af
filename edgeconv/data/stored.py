"""Stored: a dataset for those who read it again and again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from edgeconv.types import Array, Batch, Dataset

__all__ = ["Stored"]

#: Items read at once.
_READ: Final = 16


class Stored:
    """A dataset that is read and preprocessed once, and lies on disk from then on.

    Args:
        dataset: What to store.
        folder: Where; a file an input.
    """

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self.name, self.fingerprint = dataset.name, dataset.fingerprint
        self.labelled = dataset.labelled
        self._count = len(dataset)
        self._ids: list[str] = []
        self._y: list[Array] = []
        self._stores: list[Array] = []
        for batch in dataset.batches(_READ):
            self._stores = self._stores or [
                np.lib.format.open_memmap(
                    folder / f"held-{place}.npy", "w+", x.dtype, (self._count, *x.shape[1:])
                )
                for place, x in enumerate(batch.x)
            ]
            for store, x in zip(self._stores, batch.x, strict=True):
                store[len(self._ids) : len(self._ids) + len(x)] = x
            self._ids += batch.ids
            self._y += [] if batch.y is None else [batch.y]

    def __len__(self) -> int:
        return self._count

    def items(self, places: Iterable[int] | None = None) -> Iterator[tuple[Array, ...]]:
        """The inputs of each item, [1, ...]."""
        for place in range(self._count) if places is None else places:
            yield tuple(np.asarray(store[place : place + 1]) for store in self._stores)

    def batches(self, size: int) -> Iterator[Batch]:
        """See ``Dataset.batches``."""
        y = np.concatenate(self._y) if self._y else None
        for start in range(0, self._count, size):
            part = slice(start, start + size)
            x = tuple(np.asarray(store[part]) for store in self._stores)
            yield Batch(x, None if y is None else y[part], tuple(self._ids[part]))
