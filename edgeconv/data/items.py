"""Items: the Dataset that all readers return, and its views.

reader ──► Source (all there is) ──select──► Items (some of it, in an order)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from edgeconv.errors import UsageError
from edgeconv.preprocess import Preprocess
from edgeconv.types import Array, Batch

__all__ = ["Items", "Source", "all_items"]


class Source(Protocol):
    """Where the items come from; one class a kind of storage.

    Attributes:
        ids: A name for each item, safe to print.
        labels: int64 [N] class indices, or None.
        preprocess: How they become inputs.
    """

    @property
    def ids(self) -> Sequence[str]:
        """See above."""

    @property
    def labels(self) -> Array | None:
        """See above."""

    @property
    def preprocess(self) -> Preprocess:
        """See above."""

    def hashes(self, indices: Sequence[int]) -> tuple[str, ...]:
        """SHA-256 of each item's content as it is stored."""

    def load(self, indices: Sequence[int]) -> Iterator[tuple[Array, ...]]:
        """Each item in turn, one float32 [1, ...] a model input."""

    def with_preprocess(self, preprocess: Preprocess) -> Source:
        """The same items, made into inputs in another way."""


@dataclass(frozen=True, eq=False)
class Items:
    """Some items of a source, in an order; a ``Dataset``.

    Attributes:
        source: Where they come from.
        indices: Which of the source's items, in order.
        name: What a person calls it.
    """

    source: Source
    indices: tuple[int, ...]
    name: str

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labelled(self) -> bool:
        """Whether every batch has ``y``."""
        return self.source.labels is not None

    @property
    def labels(self) -> Array | None:
        """int64 [N] class indices, or None."""
        return None if self.source.labels is None else self.source.labels[list(self.indices)]

    @property
    def ids(self) -> tuple[str, ...]:
        """A name for each item, safe to print."""
        known = self.source.ids
        return tuple(known[index] for index in self.indices)

    def item_hashes(self) -> tuple[str, ...]:
        """SHA-256 of each item's content as it is stored, in order."""
        return self.source.hashes(self.indices)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over content hashes and labels, order included."""
        digest = hashlib.sha256()
        labels = self.labels
        for position, content in enumerate(self.item_hashes()):
            label = "" if labels is None else int(labels[position])
            digest.update(f"{content} {label}\n".encode())
        return digest.hexdigest()

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield all items in order, ``size`` at a time; may be called again.

        Raises:
            UsageError: ``size`` is no batch size.
            RefusedInput: An item is broken; the message names it.
        """
        if size < 1:
            raise UsageError(f"The batch size is {size}.", "It must be at least 1.")
        return self._batches(size)

    def _batches(self, size: int) -> Iterator[Batch]:
        labels, ids = self.labels, self.ids
        stream = self.source.load(self.indices)
        for start in range(0, len(self), size):
            end = min(start + size, len(self))
            items = [next(stream) for _ in range(start, end)]
            yield Batch(
                x=tuple(np.concatenate(column) for column in zip(*items, strict=True)),
                y=None if labels is None else labels[start:end],
                ids=ids[start:end],
            )

    def select(self, positions: Sequence[int], name: str = "") -> Items:
        """The items at ``positions`` of this view, in that order."""
        indices = tuple(self.indices[position] for position in positions)
        return Items(self.source, indices, name or self.name)

    def with_preprocess(self, preprocess: Preprocess) -> Items:
        """The same items in the same order, made into inputs in another way."""
        return Items(self.source.with_preprocess(preprocess), self.indices, self.name)

    def take(self, count: int) -> Items:
        """``count`` items, or all there are, evenly spread so that sorted classes all occur."""
        if count >= len(self):
            return self
        return self.select([position * len(self) // count for position in range(count)])


def all_items(source: Source, name: str) -> Items:
    """Everything that ``source`` holds, in its order."""
    return Items(source, tuple(range(len(source.ids))), name)
