"""What a person passes to run: pictures and arrays, made ready for the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Union

import numpy as np

from edgeconv.errors import HostFailure, RefusedInput, UsageError
from edgeconv.pictures import decode
from edgeconv.preprocess import Preprocess, prepare_array, prepare_image
from edgeconv.runtime.affine import finite_float32
from edgeconv.runtime.arrays import read_npy, read_npz
from edgeconv.types import Array, TensorSpec

__all__ = ["MAX_ARRAY_BYTES", "Item", "Ready", "in_groups", "ready_arrays", "ready_items"]

#: A file of a picture or of arrays, an array, or one array an input by name.
Item = Union[str, Path, Array, Mapping[str, Array]]
#: A name, and one float32 [1, ...] an input.
Ready = tuple[str, tuple[Array, ...]]

#: A whole batch of float pictures; more belongs into several files.
MAX_ARRAY_BYTES = 1 << 30


def ready_items(item: Item, preprocess: Preprocess, specs: Sequence[TensorSpec]) -> Iterator[Ready]:
    """Yield (name, one float32 [1, ...] an input) for each thing that ``item`` holds.

    Args:
        item: A picture file; or an .npy file or array, one item or a batch:
            floats are ready as they are, uint8 [H, W, C] are pictures, other
            integers are raw values to be scaled. For a model of several inputs an
            .npz file or a mapping, see ``ready_arrays``.
        preprocess: Of the model.
        specs: The model's inputs, batch first.

    Raises:
        UsageError: The file is absent or the shape is not the model's.
        RefusedInput: The file is corrupt, unsafe or no picture.
        HostFailure: The file can't be read.
    """
    if isinstance(item, Mapping) or _suffix(item) == ".npz":
        yield from _ready_rows(item, specs)
    elif len(specs) != 1:
        raise UsageError(
            f"The model takes {len(specs)} inputs; a picture or .npy file is one.",
            "Pass an .npz file, or a mapping, of one array an input.",
        )
    elif _suffix(item) not in ("", ".npy"):
        assert isinstance(item, (str, Path))
        yield Path(item).name, (_ready_picture(Path(item), preprocess),)
    else:
        for name, x in _ready_single(item, preprocess, specs[0]):
            yield name, (x,)


def _suffix(item: Item) -> str:
    """Of a file, in small letters; "" for arrays. A file without one is a picture."""
    return (Path(item).suffix.lower() or ".") if isinstance(item, (str, Path)) else ""


def in_groups(ready: Iterable[Ready], size: int) -> Iterator[list[Ready]]:
    """Lists of up to ``size`` items of one shape, in the given order."""
    if size < 1:
        raise UsageError(f"A batch of {size} items is none.", "Pass a batch of 1 or more.")
    group: list[Ready] = []
    for pair in ready:
        if len(group) == size or (group and _shapes(pair) != _shapes(group[0])):
            yield group
            group = []
        group.append(pair)
    if group:
        yield group


def _shapes(ready: Ready) -> list[tuple[int, ...]]:
    return [x.shape for x in ready[1]]


def ready_arrays(
    arrays: Mapping[str, Array], specs: Sequence[TensorSpec], name: str
) -> tuple[Array, ...]:
    """One array [N, ...] a model input, preprocessed, in the model's order.

    Args:
        arrays: By the inputs' names, or as ``x0``, ``x1``, ...
        specs: The model's inputs.
        name: What messages call the arrays.

    Raises:
        UsageError: Other names, shapes, lengths or dtypes, or no items.
        RefusedInput: A value is NaN or infinite.
    """
    numbered = [f"x{i}" for i in range(len(specs))]
    wanted = next((k for k in ([s.name for s in specs], numbered) if set(k) == set(arrays)), None)
    if wanted is None:
        raise UsageError(
            f"{name} holds {', '.join(sorted(map(repr, arrays)))[:200] or 'no arrays'}.",
            f"Name the arrays {', '.join(numbered)}: preprocessed float32, one a model input.",
        )
    ready = tuple([_whole(np.asarray(arrays[k]), spec, k) for k, spec in zip(wanted, specs)])
    if len({len(x) for x in ready}) != 1:
        raise UsageError(f"The arrays in {name} hold different numbers of items.", "Match them.")
    return ready


def _whole(x: Array, spec: TensorSpec, key: str) -> Array:
    axes = ", ".join("any" if n is None else str(n) for n in ("N", *spec.shape[1:]))
    fits = x.ndim == len(spec.shape) and all(
        n is None or n == m for n, m in zip(spec.shape[1:], x.shape[1:])
    )
    if not fits or not x.size:
        raise UsageError(f"{key} is {list(x.shape)}; the model takes [{axes}].", "Reshape it.")
    if x.dtype.kind != "f" and np.dtype(spec.dtype).kind == "f":
        raise UsageError(f"{key} holds {x.dtype}.", "Pass preprocessed float32 values.")
    return finite_float32(x, key)


def _ready_rows(item: Item, specs: Sequence[TensorSpec]) -> Iterator[Ready]:
    if isinstance(item, Mapping):
        name, arrays = "arrays", item
    else:
        path = Path(str(item))
        name = path.name
        arrays = read_npz(read_bounded(path), str(path), MAX_ARRAY_BYTES)
    x = ready_arrays(arrays, specs, name)
    for i in range(len(x[0])):
        yield f"{name}[{i}]", tuple(a[i : i + 1] for a in x)


def _ready_single(
    item: Item, preprocess: Preprocess, spec: TensorSpec
) -> Iterator[tuple[str, Array]]:
    if isinstance(item, (str, Path)):
        name, array = Path(item).name, read_npy(read_bounded(Path(item)), str(item))
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
        return finite_float32(array, name)[None]
    if preprocess.kind == "array" or _is_picture(array, preprocess):
        return prepare_array(preprocess, array)
    raise UsageError(
        f"{name} holds {array.dtype}.",
        "Pass float32 (ready for the model) or uint8 [H, W, C] pixels.",
    )


def read_bounded(path: Path) -> bytes:
    """The bytes of a file of arrays.

    Raises:
        UsageError: It does not exist.
        RefusedInput: It is larger than 1 GiB.
        HostFailure: It can't be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ARRAY_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist.", "Check the path.") from None
    except OSError as error:
        raise HostFailure(f"{path} can't be read: {error.strerror}.") from error
    if len(data) > MAX_ARRAY_BYTES:
        raise RefusedInput(f"{path} is larger than 1 GiB.", "Split it into several files.")
    return data
