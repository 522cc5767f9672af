"""The float reference's answers, asked of the workshop batch by batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeconv.errors import RefusedInput
from edgeconv.types import Array, Dataset, SourceModel
from edgeconv.workshop import Workshop

__all__ = ["answers"]

_BATCH = 16


def answers(source: SourceModel, dataset: Dataset, workshop: Workshop, folder: Path) -> list[Array]:
    """Run the original model over ``dataset``.

    Args:
        source: Loaded in ``workshop``.
        dataset: Preprocessed for ``source``.
        workshop: Holds the live model.
        folder: Scratch folder; the answers lie there, mapped and not in memory.

    Returns:
        One float32 array an output, [N, ...], read-only.

    Raises:
        RefusedInput: The model answers NaN or infinity.
    """
    inputs = [str(folder / f"batch-x{i}.npy") for i in range(len(source.inputs))]
    outputs = [str(folder / f"batch-y{i}.npy") for i in range(len(source.outputs))]
    stores: list[np.memmap[tuple[int, ...], np.dtype[np.float32]]] = []
    done = 0
    for batch in dataset.batches(_BATCH):
        for path, array in zip(inputs, batch.x, strict=True):
            np.save(path, array)
        workshop.call("edgeconv.load.child:predict", inputs=inputs, outputs=outputs)
        results = [np.load(path, allow_pickle=False) for path in outputs]
        if not stores:
            stores = [
                np.lib.format.open_memmap(
                    folder / f"reference-{i}.npy",
                    mode="w+",
                    dtype=np.float32,
                    shape=(len(dataset), *result.shape[1:]),
                )
                for i, result in enumerate(results)
            ]
        for store, result in zip(stores, results, strict=True):
            if not np.isfinite(result).all():
                raise RefusedInput(
                    f"The original model answers NaN or infinity on {batch.ids[0]!r} or its batch.",
                    "Check the preprocessing, or load an earlier checkpoint.",
                )
            store[done : done + len(result)] = result
        done += len(batch.ids)
    return list(stores)
