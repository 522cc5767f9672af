"""An .npz of arrays: ``x`` and ``y``, or ``x_SPLIT`` and ``y_SPLIT``.

For a model of pictures, ``x`` are pixels: uint8 [N, H, W, C] or [N, H, W] of any
size. For any other, ``x`` goes to the model as ``x * scale + offset``.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeconv.data import npz
from edgeconv.data.items import Items, all_items
from edgeconv.data.stream import ordered_map
from edgeconv.errors import EdgeconvError, RefusedInput, UsageError
from edgeconv.pictures import printable
from edgeconv.preprocess import Preprocess, prepare_array
from edgeconv.progress import Progress, Silent
from edgeconv.types import Array, Shape

__all__ = ["ArrayItems", "read_arrays"]

#: Looked at to tell pixels 0..255 from values that are already scaled.
_GLANCE = 16
#: Of a mapped file, so much is in memory at once.
_MOST_MAPPED_BYTES = 4 << 20


@dataclass(frozen=True, eq=False)
class ArrayItems:
    """Arrays mapped from disk, one a model input; a ``Source``.

    Attributes:
        x: Each [N, ...].
        labels: int64 [N] class indices, or None.
        preprocess: Of either kind.
    """

    x: tuple[Array, ...]
    labels: Array | None
    preprocess: Preprocess

    @property
    def ids(self) -> Sequence[str]:
        """``array 0``, ``array 1``, ..."""
        return [f"array {index}" for index in range(len(self.x[0]))]

    def hashes(self, indices: Sequence[int]) -> tuple[str, ...]:
        """SHA-256 of each item's shape, type and bytes."""
        return tuple(self._hash(index) for index in indices)

    def _hash(self, index: int) -> str:
        digest = hashlib.sha256()
        for x in self.x:
            digest.update(f"{x.dtype.str} {x.shape[1:]}\n".encode())
            digest.update(np.ascontiguousarray(x[index]).tobytes())
        return digest.hexdigest()

    def load(self, indices: Sequence[int]) -> Iterator[tuple[Array, ...]]:
        """Each item in turn, one float32 [1, ...] a model input."""
        # Threads pay where pixels are resized; an array is ready sooner than a thread.
        items = (ordered_map if self.preprocess.kind == "image" else map)(self._load, indices)
        return self._forgetful(items)

    def _forgetful(self, items: Iterator[tuple[Array, ...]]) -> Iterator[tuple[Array, ...]]:
        """The same; pages that were read count as this process's memory until they are let go."""
        item_bytes = sum(x.nbytes // max(1, len(x)) for x in self.x)
        often = max(1, _MOST_MAPPED_BYTES // max(1, item_bytes))
        for number, item in enumerate(items, 1):
            if number % often == 0:
                _let_go(self.x)
            yield item

    def with_preprocess(self, preprocess: Preprocess) -> ArrayItems:
        """The same arrays, made into inputs in another way."""
        return replace(self, preprocess=preprocess)

    def _load(self, index: int) -> tuple[Array, ...]:
        try:
            return tuple(prepare_array(self.preprocess, x[index]) for x in self.x)
        except EdgeconvError as error:
            raise type(error)(f"array {index}: {error.message}", error.hint) from None


def _let_go(arrays: Sequence[Array]) -> None:
    """Unmap what was read so far; it comes back from the file when it is read again."""
    for array in arrays:
        mapped = getattr(array, "_mmap", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            mapped.madvise(mmap.MADV_DONTNEED)


def read_arrays(
    path: Path,
    preprocess: Preprocess,
    *,
    split: str = "",
    classes: int | None = None,
    input_shapes: Sequence[Shape] = (),
    x_key: str = "x",
    y_key: str = "y",
    progress: Progress | None = None,
) -> Items:
    """Open the arrays of a split.

    Args:
        path: The .npz.
        preprocess: Of either kind.
        split: What follows the key and an underscore; "" for nothing.
        classes: How many the model has; None where it is no classifier.
        input_shapes: Of the model, batch first; empty where not known.
        x_key: Name of the inputs; several with commas, for several model inputs.
        y_key: Name of the class indices; there need not be any.
        progress: Told where ``y`` is of no use.

    Raises:
        UsageError: No such array or split.
        RefusedInput: Unsafe, broken, or of the wrong shape or values.
    """
    known = npz.keys(path)
    names = [_name(key, split) for key in x_key.split(",")]
    for name in names:
        if name not in known:
            raise _no_such(path, name, split, x_key, known)
    if input_shapes and len(names) != len(input_shapes):
        raise UsageError(
            f"The model takes {len(input_shapes)} inputs, {len(names)} arrays are named.",
            "Name one array an input, such as --x-key left,right.",
        )
    x = tuple(npz.load_array(path, name) for name in names)
    _check_items(path, names, x)
    y = _read_labels(path, _name(y_key, split), known, len(x[0]), classes, progress or Silent())
    if y is None and y_key != "y" and _name(y_key, split) not in known:
        raise _no_such(path, _name(y_key, split), split, y_key, known)
    source = ArrayItems(x, y, preprocess)
    _check_fit(path, names, source, input_shapes)
    return all_items(source, printable(f"{path}:{split}" if split else path))


def _name(key: str, split: str) -> str:
    return f"{key.strip()}_{split}" if split else key.strip()


def _no_such(path: Path, name: str, split: str, key: str, known: list[str]) -> UsageError:
    splits = [other.removeprefix(f"{key}_") for other in known if other.startswith(f"{key}_")]
    if splits and not split:
        hint = f"It has splits: {printable(path)}:{printable(splits[0])}."
    else:
        hint = "It has " + ", ".join(printable(other) for other in known[:10]) + "."
        hint += " --x-key and --y-key name others than x and y."
    return UsageError(f"{printable(path)} has no array {printable(name)!r}.", hint)


def _check_items(path: Path, names: list[str], x: tuple[Array, ...]) -> None:
    for name, array in zip(names, x, strict=True):
        if array.ndim == 0 or len(array) == 0:
            raise RefusedInput(f"{printable(path)}: {name} is empty.", "Give at least one item.")
        if len(array) != len(x[0]):
            raise RefusedInput(
                f"{printable(path)}: {names[0]} has {len(x[0])} items, {name} {len(array)}.",
                "All must have as many.",
            )


def _read_labels(
    path: Path, name: str, known: list[str], count: int, classes: int | None, progress: Progress
) -> Array | None:
    if name not in known:
        return None
    y = npz.load_array(path, name)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype.kind not in "iu" or y.ndim != 1:
        if classes is None:
            progress.note(f"{printable(path)}: {name} holds no class indices and was ignored.")
            return None
        raise RefusedInput(
            f"{printable(path)}: {name} holds {y.dtype} {list(y.shape)}, not class indices.",
            "Give one integer an item.",
        )
    if len(y) != count:
        raise RefusedInput(
            f"{printable(path)}: {count} items, but {len(y)} labels in {name}.",
            "Both must have as many.",
        )
    _check_range(path, name, y, classes)
    return y.astype(np.int64)


def _check_range(path: Path, name: str, y: Array, classes: int | None) -> None:
    wrong = (y < 0) | (y >= (classes if classes is not None else 2**31))
    if wrong.any():
        item = int(np.argmax(wrong))
        raise RefusedInput(
            f"{printable(path)}: {name}[{item}] is {int(y[item])}, "
            f"the model has {classes or 'no negative'} classes.",
            "Class indices count from 0.",
        )


def _check_fit(
    path: Path, names: list[str], source: ArrayItems, input_shapes: Sequence[Shape]
) -> None:
    """Prepare the first item as all will be, and hold it against the model."""
    try:
        first = next(iter(source.load([0])))
    except EdgeconvError as error:
        raise type(error)(f"{printable(path)}, {error.message}", error.hint) from None
    for name, x, item, shape in zip(names, source.x, first, input_shapes, strict=False):
        wanted = list(shape[1:])
        if len(wanted) != item.ndim - 1 or any(
            size not in (None, got) for size, got in zip(wanted, item.shape[1:], strict=True)
        ):
            raise RefusedInput(
                f"{printable(path)}: each item of {name} has the shape {list(x.shape[1:])}, "
                f"the model takes {wanted}.",
                "Reshape the array, or name another with --x-key.",
            )
    for name, x in zip(names, source.x, strict=True):
        if source.preprocess.kind == "image" and x.dtype.kind == "f":
            _refuse_scaled(path, name, x[:_GLANCE])


def _refuse_scaled(path: Path, name: str, some: Array) -> None:
    if 0 < some.max() <= 1:
        raise RefusedInput(
            f"{printable(path)}: {name} holds 0..1, the model's preprocessing starts from 0..255.",
            "Give raw pixels, or preprocessing of kind array.",
        )
