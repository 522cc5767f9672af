"""What a person passes to run: pictures and .npy arrays, made ready for the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Union

import numpy as np

from edgeconv.errors import HostFailure, RefusedInput, UsageError
from edgeconv.pictures import decode
from edgeconv.preprocess import Preprocess, prepare_array, prepare_image
from edgeconv.runtime.arrays import read_npy
from edgeconv.types import Array, TensorSpec

__all__ = ["Item", "ready_items"]

#: A picture file, an .npy file, or an array.
Item = Union[str, Path, Array]

#: A whole batch of float pictures; more belongs into several files.
_MAX_ARRAY_BYTES = 1 << 30


def ready_items(
    item: Item, preprocess: Preprocess, spec: TensorSpec
) -> Iterator[tuple[str, Array]]:
    """Yield (name, float32 [1, ...]) for each thing that ``item`` holds.

    Args:
        item: A picture file; or an .npy file or array, one item or a batch:
            floats are ready as they are, uint8 [H, W, C] are pictures, other
            integers are raw values to be scaled.
        preprocess: Of the model.
        spec: The model's input, batch first.

    Raises:
        UsageError: The file is absent or the shape is not the model's.
        RefusedInput: The file is corrupt, unsafe or no picture.
        HostFailure: The file can't be read.
    """
    if isinstance(item, (str, Path)):
        path = Path(item)
        if path.suffix.lower() != ".npy":
            yield path.name, _ready_picture(path, preprocess)
            return
        name, array = path.name, _read_npy(path)
    else:
        name, array = "array", np.asarray(item)
    rank = len(spec.shape)
    if array.size == 0:
        raise UsageError(f"{name} is empty: {list(array.shape)}.", "Pass at least one item.")
    if array.ndim == rank:
        for i in range(len(array)):
            yield f"{name}[{i}]", _ready_array(array[i], preprocess, name)
    elif array.ndim == rank - 1 or (_is_picture(array, preprocess) and array.ndim == 2):
        yield name, _ready_array(array, preprocess, name)
    else:
        axes = ", ".join("any" if n is None else str(n) for n in spec.shape[1:])
        raise UsageError(
            f"{name} is {list(array.shape)}; the model takes [{axes}] or a batch.",
            "Reshape the array.",
        )


def _is_picture(array: Array, preprocess: Preprocess) -> bool:
    return preprocess.kind == "image" and array.dtype == np.uint8


def _ready_picture(path: Path, preprocess: Preprocess) -> Array:
    if preprocess.kind != "image":
        raise UsageError(
            f"The model takes arrays, and {path.name} is none.",
            "Pass an .npy file, float32 or raw.",
        )
    return prepare_image(preprocess, decode(path))


def _ready_array(array: Array, preprocess: Preprocess, name: str) -> Array:
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise RefusedInput(
                f"{name} holds NaN or infinite values.", "Mend whatever made the array."
            )
        return np.ascontiguousarray(array, np.float32)[None]
    if preprocess.kind == "array" or _is_picture(array, preprocess):
        return prepare_array(preprocess, array)
    raise UsageError(
        f"{name} holds {array.dtype}.",
        "Pass float32 (ready for the model) or uint8 [H, W, C] pixels.",
    )


def _read_npy(path: Path) -> Array:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_ARRAY_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist.", "Check the path.") from None
    except OSError as error:
        raise HostFailure(f"{path} can't be read: {error.strerror}.") from error
    if len(data) > _MAX_ARRAY_BYTES:
        raise RefusedInput(f"{path} is larger than 1 GiB.", "Split it into several files.")
    return read_npy(data, str(path))
