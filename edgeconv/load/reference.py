"""The float reference's answers, asked of the workshop batch by batch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import numpy as np

from edgeconv.errors import RefusedInput
from edgeconv.types import Array, Dataset, SourceModel
from edgeconv.workshop import Workshop

__all__ = ["answers"]

_BATCH: Final = 16


def answers(source: SourceModel, dataset: Dataset, workshop: Workshop, folder: Path) -> list[Array]:
    """Run the original model over ``dataset``, or take what it answered to the same before.

    Args:
        source: Loaded in ``workshop``, whose cache is used where it has one.
        dataset: Preprocessed for ``source``.
        workshop: Holds the live model.
        folder: Scratch folder; the answers lie there, mapped and not in memory.

    Returns:
        One float32 array an output, [N, ...], read-only.

    Raises:
        RefusedInput: The model answers NaN or infinity.
    """
    cache = workshop.cache
    if cache is None or not source.graph_sha256:
        return _asked(source, dataset, workshop, folder)
    key = {
        "kind": "answers",
        "graph": source.graph_sha256,
        "inputs": [spec.name for spec in source.inputs],
        "outputs": [spec.name for spec in source.outputs],
        "dataset": dataset.fingerprint,
        "begins": _begin_hash(dataset),
    }
    count = cache.fetch(key, folder)
    if count is None:
        stores = _asked(source, dataset, workshop, folder)
        cache.keep(key, len(stores), [_store(folder, i) for i in range(len(stores))])
        return stores
    return [np.load(_store(folder, i), mmap_mode="r", allow_pickle=False) for i in range(count)]


def _begin_hash(dataset: Dataset) -> str:
    """SHA-256 of the first inputs: what a fingerprint doesn't say, they were made from it."""
    digest = hashlib.sha256()
    for x in next(iter(dataset.batches(_BATCH))).x:
        digest.update(f"{x.dtype} {x.shape}".encode() + np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()


def _store(folder: Path, output: int) -> Path:
    return folder / f"reference-{output}.npy"


def _asked(source: SourceModel, dataset: Dataset, workshop: Workshop, folder: Path) -> list[Array]:
    inputs = [str(folder / f"batch-x{i}.npy") for i in range(len(source.inputs))]
    outputs = [str(folder / f"batch-y{i}.npy") for i in range(len(source.outputs))]
    stores: list[np.memmap[tuple[int, ...], np.dtype[np.float32]]] = []
    done = 0
    for batch in dataset.batches(source.at_once(_BATCH)):
        for path, array in zip(inputs, batch.x, strict=True):
            np.save(path, array)
        workshop.call("edgeconv.load.child:predict", inputs=inputs, outputs=outputs)
        results = [np.load(path, allow_pickle=False) for path in outputs]
        if not stores:
            stores = [
                np.lib.format.open_memmap(
                    _store(folder, i),
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
    for store in stores:
        store.flush()
    return list(stores)
