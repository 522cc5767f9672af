"""Have the int8 form of a float graph trained in a process of its own, and take the weights over.

TensorFlow's training holds several gigabytes for a large model and is ended in the middle by
Ctrl-C or a budget, so it has a process that lives no longer than it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.progress import Progress
from edgeconv.targets import TARGETS
from edgeconv.types import (
    Activation,
    Array,
    Artifact,
    Dataset,
    FloatGraph,
    Qat,
    Weights,
)
from edgeconv.workshop import Workshop

__all__ = ["Taught", "most_items", "teach", "transfer"]

#: Inputs that are trained on; of more, as many as this, evenly spread.
_MOST_BYTES: Final = 2 << 30
_READ: Final = 16
#: Kernels of two formats are the same where they differ by no more steps of 1/127.
_ALIKE: Final = 2.0

_TFLITE = TARGETS["tflite"]


@dataclass(frozen=True)
class Taught:
    """What training did to the layers that are int8.

    Attributes:
        begin: The weights before, by layer.
        end: After, kernels on their grid.
        losses: The mean of each epoch.
    """

    begin: Weights
    end: Weights
    losses: tuple[float, ...]


def most_items(item_bytes: int) -> int:
    """How many inputs of this size are trained on."""
    return max(1, _MOST_BYTES // max(1, item_bytes))


def teach(
    teacher: FloatGraph,
    student: FloatGraph,
    artifact: Artifact,
    dataset: Dataset,
    qat: Qat,
    activation: Activation,
    *,
    pictures: bool,
    folder: Path,
    progress: Progress,
) -> Taught:
    """Train.

    Args:
        teacher: The float model, TFLite.
        student: The same, prepared by passes: the weights where training begins.
        artifact: ``student`` in int8; says what is rounded, and how.
        dataset: The calibration set; its labels are not asked for.
        qat: How long, how fast, in which order.
        activation: Of the head that was taken off.
        pictures: Whether inputs may be mirrored and shifted.
        folder: Scratch.
        progress: Told of every epoch.

    Raises:
        Unsupported: The model has an operator that can't be trained here.
    """
    names = {each.output: each.name for each in _TFLITE.layers(student) if each.weight}
    begin = _TFLITE.weights(student)
    _save(folder / "begin.npz", names, begin)
    inputs = _store(dataset, folder)
    with Workshop(folder) as workshop:
        made = workshop.call(
            "edgeconv.qat.lesson:train",
            progress,
            teacher=str(teacher.path),
            student=str(artifact.path),
            weights=str(folder / "begin.npz"),
            inputs=[str(path) for path in inputs],
            out=str(folder / "end.npz"),
            logits="" if activation == "linear" else activation,
            pictures=pictures,
            epochs=qat.epochs,
            learning_rate=qat.learning_rate,
            seed=qat.seed,
        )
    for path in inputs:
        path.unlink()
    with np.load(folder / "end.npz", allow_pickle=False) as arrays:
        end = _named(arrays, names, begin)
    return Taught({name: begin[name] for name in end}, end, tuple(made["losses"]))


def transfer(taught: Taught, weights: Weights) -> Weights:
    """The trained weights for a graph of either format.

    A bias is moved by as much as it was moved in training: formats fold different constants
    into it (the 3 of a hard sigmoid).

    Args:
        taught: By layer.
        weights: Of the prepared graph that is to have them.

    Returns:
        Those of the layers whose kernel is the one that was trained.

    Raises:
        Unsupported: None is.
    """
    found: dict[str, tuple[Array, Array | None]] = {}
    for name, (kernel, bias) in taught.end.items():
        own, own_bias = weights.get(name, (None, None))
        old, old_bias = taught.begin[name]
        if own is None or not _alike(own, old):
            continue
        if bias is not None and old_bias is not None and own_bias is not None:
            own_bias = own_bias + (bias - old_bias)
        found[name] = kernel, own_bias
    if taught.end and not found:
        raise Unsupported(
            "No layer of the other format has the kernels that were trained.",
            "Export with --format tflite, or leave --qat out.",
        )
    return found


def _alike(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    axes = tuple(range(one.ndim - 1))
    step = np.abs(other).max(axis=axes) / 127
    return bool((np.abs(one - other).max(axis=axes) <= _ALIKE * step).all())


def _save(path: Path, names: Mapping[str, str], weights: Weights) -> None:
    arrays: dict[str, Any] = {}
    for output, name in names.items():
        kernel, bias = weights[name]
        arrays[f"kernel {output}"] = kernel
        if bias is not None:
            arrays[f"bias {output}"] = bias
    np.savez(path, **arrays)


def _named(
    arrays: Mapping[str, Array], names: Mapping[str, str], begin: Weights
) -> dict[str, tuple[Array, Array | None]]:
    return {
        name: (
            arrays[f"kernel {output}"],
            arrays[f"bias {output}"] if f"bias {output}" in arrays else begin[name][1],
        )
        for output, name in names.items()
        if f"kernel {output}" in arrays
    }


def _store(dataset: Dataset, folder: Path) -> list[Path]:
    """The inputs on disk, an array each."""
    stores: list[Array] = []
    done = 0
    for batch in dataset.batches(_READ):
        stores = stores or [
            np.lib.format.open_memmap(
                folder / f"input-{place}.npy", "w+", np.float32, (len(dataset), *x.shape[1:])
            )
            for place, x in enumerate(batch.x)
        ]
        for store, x in zip(stores, batch.x, strict=True):
            store[done : done + len(x)] = x
        done += len(batch.x[0])
    return [folder / f"input-{place}.npy" for place in range(len(stores))]
