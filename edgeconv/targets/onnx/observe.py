"""Observe: run the float file over a dataset and watch its activations.

Watched are the graph's inputs and what nodes write, but for two kinds that cost time
and tell nothing:

    y = Transpose(x), Reshape(x) ...    holds the values of x: takes the range of x
    y = Relu(x) or Clip(x)              x, read by nothing else, is never written down:
                                        the quantizer stops at what y lets through

Items go through one by one: their tensors stay in the processor's cache for the
observers (MobileNetV2: 25 ms an item, against 31 in batches of eight), and memory is
that of one item, or of a part of one where that is much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import nullcontext
from itertools import chain
from typing import Final

import numpy as np

from edgeconv.calibrate.observers import HISTOGRAM_BINS, Observer
from edgeconv.errors import UsageError
from edgeconv.memory import blocks_apart, give_memory_back
from edgeconv.progress import Progress
from edgeconv.targets.onnx.model import (
    Model,
    constants,
    element_types,
    read,
    uses,
)
from edgeconv.targets.onnx.segments import open_segments, run_segments
from edgeconv.types import Array, Dataset, FloatGraph, Ranges, TensorRange, TensorSpec

__all__ = ["CLAMPS", "COPIES", "activations", "observe"]

#: Operators whose output holds the very values of their first input.
COPIES: Final = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
#: Operators that the quantizer merges into what computes their input.
CLAMPS: Final = frozenset({"Relu", "Clip"})
#: ONNX's number for float32.
_FLOAT: Final = 1
#: Items read at once.
_BATCH: Final = 16


def observe(
    graph: FloatGraph, dataset: Dataset, progress: Progress, *, histograms: bool = False
) -> Ranges:
    """Watch the float activations of ``graph`` over ``dataset``.

    Args:
        graph: A float graph of this format.
        dataset: Read once, as a stream.
        progress: Advanced an item at a time.
        histograms: Count values too, for calibrators that need it.

    Returns:
        Tensor name -> true minimum and maximum (and histogram), of every float
        activation but those that only a Relu or Clip reads.

    Raises:
        UsageError: The dataset is empty or doesn't fit the model's inputs.
        RefusedInput: A tensor came out NaN or infinite.
    """
    model = read(graph.path)
    sources = _sources(model)
    watched = list(dict.fromkeys(sources.values()))
    bins = HISTOGRAM_BINS if histograms else 0
    observers = {name: Observer(_label(graph, name), bins, channel_axis=1) for name in watched}
    del model
    for parts in _items(graph, watched, dataset):
        for seen in parts:
            for name, x in seen.items():
                if name in observers:
                    observers[name].update(x)
        progress.advance()
    give_memory_back()
    if not len(dataset):
        raise UsageError(f"{dataset.name} holds no item to calibrate on.", "Give at least one.")
    ranges: dict[str, TensorRange] = {n: observer.range() for n, observer in observers.items()}
    return {name: ranges[source] for name, source in sources.items()}


def activations(
    graph: FloatGraph, tensors: Collection[str], dataset: Dataset
) -> Iterator[Mapping[str, Array]]:
    """What float activations hold, item by item.

    Args:
        graph: A float graph of this format.
        tensors: Names of float activations, inputs and outputs too.
        dataset: Read once, as a stream.

    Yields:
        Tensor name -> float32 of the tensor's shape.
    """
    wanted = list(dict.fromkeys(tensors))
    for parts in _items(graph, wanted, dataset):
        yield {name: seen[name] for seen in parts for name in wanted if name in seen}


def _items(
    graph: FloatGraph, names: Collection[str], dataset: Dataset
) -> Iterator[Iterator[Mapping[str, Array]]]:
    """What ``names`` hold, item by item: the inputs, then part by part what is computed."""
    inputs = {spec.name for spec in graph.inputs}
    computed = [name for name in names if name not in inputs]
    segments = open_segments(read(graph.path), computed) if computed else []
    if len(segments) > 1:
        give_memory_back()
    with blocks_apart() if len(segments) > 1 else nullcontext():
        for batch in dataset.batches(_BATCH):
            for items in zip(*batch.x, strict=True):
                feeds = {s.name: _feed(x, s) for x, s in zip(items, graph.inputs, strict=True)}
                yield chain([feeds], run_segments(segments, feeds))


def _sources(model: Model) -> Mapping[str, str]:
    """Tensor name -> the tensor whose values tell its range."""
    types, held, used = element_types(model), constants(model), uses(model)
    hidden = {
        node.input[0]
        for node in model.graph.node
        if node.op_type in CLAMPS and used[node.input[0]] == 1
    }
    names = [value.name for value in model.graph.input]
    sources = {name: name for name in names if types[name] == _FLOAT}
    for node in model.graph.node:
        for name in node.output:
            if name and types.get(name) == _FLOAT and name not in hidden:
                copied = node.op_type in COPIES and node.input[0] not in held
                # A copy of something hidden or not float has to be watched itself.
                sources[name] = sources.get(node.input[0], name) if copied else name
    return sources


def _label(graph: FloatGraph, tensor: str) -> str:
    layer = graph.tensor_layers.get(tensor)
    return f"the layer {layer!r}" if layer else f"the tensor {tensor!r}"


def _feed(x: Array, spec: TensorSpec) -> Array:
    wanted = spec.shape[1:]
    if len(wanted) != x.ndim or any(
        n not in (None, m) for n, m in zip(wanted, x.shape, strict=True)
    ):
        raise UsageError(
            f"The model's input {spec.name!r} takes {list(wanted)}, not {list(x.shape)}.",
            "Preprocess the data for this model.",
        )
    return x[np.newaxis].astype(spec.dtype, copy=False)
