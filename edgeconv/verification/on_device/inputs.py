"""The sample that travels to a device, and how large its answer may be."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeconv.data import Items
from edgeconv.errors import Unsupported, UsageError
from edgeconv.runtime.inputs import MAX_ARRAY_BYTES
from edgeconv.types import Array
from edgeconv.verification.candidate import Candidate

__all__ = ["gathered", "most_bytes", "write_inputs"]

#: The fastest that zlib has: pictures shrink to a third, and a network is slower.
_COMPRESSION = 1
_BATCH = 8
#: Of an archive and its arrays.
_HEADER_BYTES = 1 << 16


def gathered(items: Items) -> tuple[Array, ...]:
    """One float32 [N, ...] a model input, all items together."""
    rows: list[tuple[Array, ...]] = []
    size = 0
    for batch in items.batches(_BATCH):
        rows.append(batch.x)
        size += sum(array.nbytes for array in batch.x)
        if size > MAX_ARRAY_BYTES:
            raise UsageError(
                f"{len(items):,} items are more than 1 GiB.", "Send fewer: --samples 10"
            )
    columns = list(zip(*rows, strict=True))
    if any(len({array.shape[1:] for array in column}) > 1 for column in columns):
        raise Unsupported(
            "The items have different shapes, and infer.py takes arrays of one.",
            "Give data of one shape.",
        )
    return tuple(np.concatenate(column) for column in columns)


def write_inputs(path: Path, x: Sequence[Array]) -> None:
    """Write x0, x1, ... as infer.py reads them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION) as archive:
        for number, array in enumerate(x):
            with archive.open(f"x{number}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(
                    member, np.ascontiguousarray(array, np.float32), allow_pickle=False
                )


def most_bytes(candidate: Candidate, count: int) -> int:
    """What the outputs of any file of the bundle may have, unpacked."""
    sizes = []
    for _, model in candidate.entries:
        size = 0
        for spec in model.outputs:
            lengths = [length for length in spec.shape[1:] if length is not None]
            if len(lengths) < len(spec.shape) - 1:
                return MAX_ARRAY_BYTES
            size += count * math.prod(lengths) * np.dtype(spec.dtype).itemsize
        sizes.append(size)
    return min(max(sizes) + _HEADER_BYTES, MAX_ARRAY_BYTES)
