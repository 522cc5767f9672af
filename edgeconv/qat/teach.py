"""Have the int8 form of a float graph trained, in a process of its own.

TensorFlow's training holds several gigabytes for a large model and is ended in the middle by
Ctrl-C or a budget, so it has a process that lives no longer than it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeconv.progress import Progress
from edgeconv.targets import TARGETS
from edgeconv.types import (
    Activation,
    Array,
    Artifact,
    Dataset,
    FloatGraph,
    Qat,
    Ranges,
    Weights,
)
from edgeconv.workshop import Workshop

__all__ = ["Taught", "most_items", "teach"]

#: Inputs that are trained on; of more, as many as this, evenly spread.
_MOST_BYTES: Final = 2 << 30
_READ: Final = 16

_TFLITE = TARGETS["tflite"]


@dataclass(frozen=True)
class Taught:
    """What training did to the layers that are int8.

    Attributes:
        begin: The weights before, by layer.
        end: After, kernels on their grid.
        ranges: Of the activations whose range was learned, as they are then.
        losses: The mean of each epoch.
    """

    begin: Weights
    end: Weights
    ranges: Ranges
    losses: tuple[float, ...]


def most_items(item_bytes: int) -> int:
    """How many inputs of this size are trained on."""
    return max(1, _MOST_BYTES // max(1, item_bytes))


def teach(
    teacher: FloatGraph,
    student: FloatGraph,
    ranges: Ranges,
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
        ranges: Of ``student``, clipped.
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
    learned = {
        name: replace(ranges[name], low=factor * ranges[name].low, high=factor * ranges[name].high)
        for name, factor in made["widths"].items()
        if name in ranges
    }
    return Taught({name: begin[name] for name in end}, end, learned, tuple(made["losses"]))


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
