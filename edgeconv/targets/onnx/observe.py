"""Observe: run the float file over a dataset and watch its activations.

Watched are the graph's inputs and what nodes write, but for two kinds that cost time
and tell nothing:

    y = Transpose(x), Reshape(x) ...    holds the values of x: takes the range of x
    y = Relu(x) or Clip(x)              x, read by nothing else, is never written down:
                                        the quantizer stops at what y lets through

Items go through one by one: their tensors stay in the processor's cache for the
observers (MobileNetV2: 25 ms an item, against 31 in batches of eight), and memory is
that of one item.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import numpy as np

from edgeconv.calibrate.observers import HISTOGRAM_BINS, Observer
from edgeconv.errors import UsageError
from edgeconv.progress import Progress
from edgeconv.runtime.quiet import quiet_stderr
from edgeconv.targets.onnx.model import (
    Model,
    constants,
    element_types,
    read,
    to_bytes,
    uses,
)
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
#: More threads than this gain little at batch 1.
_MOST_THREADS: Final = 4


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
    for seen in _runs(graph, model, watched, dataset):
        for name, observer in observers.items():
            observer.update(seen[name])
        progress.advance()
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
    for seen in _runs(graph, read(graph.path), wanted, dataset):
        yield {name: seen[name] for name in wanted}


def _runs(
    graph: FloatGraph, model: Model, names: Collection[str], dataset: Dataset
) -> Iterator[Mapping[str, Array]]:
    """What ``names`` hold, item by item, and the inputs."""
    computed = [name for name in names if name not in {s.name for s in graph.inputs}]
    session = _open(model, computed)
    for batch in dataset.batches(_BATCH):
        for items in zip(*batch.x, strict=True):
            feeds = {s.name: _feed(x, s) for x, s in zip(items, graph.inputs, strict=True)}
            found = session.run(computed, feeds) if computed else []
            yield {**feeds, **dict(zip(computed, found, strict=True))}


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


def _open(model: Model, names: list[str]) -> Any:
    """A session that gives the tensors ``names`` out."""
    import onnxruntime as ort
    from onnx import helper

    given = {value.name for value in model.graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(name, _FLOAT, None) for name in names if name not in given
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = min(_MOST_THREADS, os.cpu_count() or 1)
    options.log_severity_level = 4
    options.use_deterministic_compute = True
    with quiet_stderr():
        return ort.InferenceSession(
            to_bytes(model), sess_options=options, providers=["CPUExecutionProvider"]
        )


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
