"""Inputs that are already as the model takes them, held in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgeconv.data.items import Items, all_items
from edgeconv.errors import InternalError
from edgeconv.preprocess import Preprocess
from edgeconv.types import Array

__all__ = ["ReadyItems", "ready_items"]


@dataclass(frozen=True, eq=False)
class ReadyItems:
    """Arrays that need no preprocessing, one a model input; a ``Source``.

    Attributes:
        x: float32, each [N, ...].
        preprocess: Of the model; not applied.
    """

    x: tuple[Array, ...]
    preprocess: Preprocess

    @property
    def ids(self) -> Sequence[str]:
        """``input 0``, ``input 1``, ..."""
        return [f"input {index}" for index in range(len(self.x[0]))]

    @property
    def labels(self) -> Array | None:
        """There are none."""
        return None

    def hashes(self, indices: Sequence[int]) -> tuple[str, ...]:
        """SHA-256 of each item's bytes."""
        return tuple(
            hashlib.sha256(b"".join(x[index].tobytes() for x in self.x)).hexdigest()
            for index in indices
        )

    def load(self, indices: Sequence[int]) -> Iterator[tuple[Array, ...]]:
        """Each item in turn, one float32 [1, ...] a model input."""
        return (tuple(x[index : index + 1] for x in self.x) for index in indices)

    def with_preprocess(self, preprocess: Preprocess) -> ReadyItems:
        """Not to be had: what they were before is not known."""
        raise InternalError("Inputs that are ready can't be preprocessed in another way.")


def ready_items(x: Sequence[Array], preprocess: Preprocess, name: str) -> Items:
    """A dataset of arrays as the model takes them.

    Args:
        x: One array a model input, each [N, ...], N the same.
        preprocess: Of the model.
        name: What a person calls it.
    """
    arrays = tuple(np.ascontiguousarray(each, np.float32) for each in x)
    return all_items(ReadyItems(arrays, preprocess), name)
