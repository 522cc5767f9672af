"""The calibration set as passes see it: activations of the float model, a few items' worth."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgeconv.progress import Progress, Silent
from edgeconv.targets.base import Target
from edgeconv.types import Array, Batch, Dataset, FloatGraph, Format, Recipe, Weights

__all__ = ["Memo", "Samples", "Some"]

#: A recipe without its precisions -> (where it was worked out: format, digest of the
#: weights; what was worked out, by layer).
Memo = dict[Recipe, tuple[tuple[Format, str], dict[str, Any]]]


@dataclass(frozen=True)
class Samples:
    """Data for passes that need it.

    Attributes:
        dataset: The calibration set.
        memo: What passes worked out and needn't again: for the other format, whose float
            weights are the same, and for recipes that differ elsewhere.
        progress: Told when a pass runs the model.
    """

    dataset: Dataset
    memo: Memo = field(default_factory=dict)
    progress: Progress = field(default_factory=Silent)

    def activations(
        self, target: Target, graph: FloatGraph, tensors: Collection[str], items: int
    ) -> Iterator[Mapping[str, Array]]:
        """See ``Floats.samples``."""
        some = Some(self.dataset, items)
        self.progress.stage(f"watch the layers of {target.title}", len(some))
        for seen in target.activations(graph, tensors, some):
            yield seen
            self.progress.advance()

    def kept(self, recipe: Recipe, format: Format, weights: Weights) -> MutableMapping[str, Any]:
        """What a pass worked out for the same weights; to be added to.

        Of the format that came first it holds for the very same weights alone, so that
        a recipe gives the same file whatever was tried before it. The other format takes
        it over; a pass compares the kernels, which there differ by float rounding.
        """
        scopes = tuple(replace(s, precision=None) for s in recipe.scopes if s.calibrator)
        key = replace(recipe, precision="int8", scopes=scopes)
        here = format, _digest(weights)
        origin, kept = self.memo.get(key, (here, {}))
        if origin[0] == format and origin != here:
            origin, kept = here, {}
        self.memo[key] = origin, kept
        return kept


def _digest(weights: Weights) -> str:
    digest = hashlib.sha256()
    for layer, (kernel, bias) in weights.items():
        digest.update(layer.encode())
        digest.update(kernel.tobytes())
        digest.update(b"" if bias is None else bias.tobytes())
    return digest.hexdigest()


class Some:
    """At most ``most`` items of a dataset, evenly spread so that sorted classes all occur.

    Args:
        dataset: Read as a stream.
        most: How many.
    """

    def __init__(self, dataset: Dataset, most: int) -> None:
        self._dataset = dataset
        count = len(dataset)
        self._places = sorted({place * count // most for place in range(most)} - {count})
        if count <= most:
            self._places = list(range(count))
        self.name, self.fingerprint = dataset.name, dataset.fingerprint
        self.labelled = dataset.labelled

    def __len__(self) -> int:
        return len(self._places)

    def batches(self, size: int) -> Iterator[Batch]:
        """See ``Dataset.batches``; batches may come out smaller than ``size``."""
        start = 0
        for batch in self._dataset.batches(size):
            end = start + len(batch.x[0])
            own = [place - start for place in self._places if start <= place < end]
            start = end
            if own:
                y = None if batch.y is None else batch.y[own]
                ids = tuple(batch.ids[place] for place in own if batch.ids)
                yield Batch(tuple(x[own] for x in batch.x), y, ids)
