"""Observe: run the float file over a dataset and watch every activation.

XNNPACK runs a float MobileNetV2 seven times as fast as the built-in kernels
and, asked to preserve all tensors, writes each of them. What it fuses or skips
it would leave unwritten without a word, so the first item is run through both
and XNNPACK is trusted only where every tensor agrees.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import numpy as np

from edgeconv.calibrate.observers import HISTOGRAM_BINS, Observer
from edgeconv.errors import RefusedInput, UsageError
from edgeconv.progress import Progress
from edgeconv.runtime.quiet import quiet_stderr
from edgeconv.targets.tflite import flatbuffer
from edgeconv.types import Array, Dataset, FloatGraph, Ranges, TensorSpec

__all__ = ["activations", "observe"]

#: Items read at once; they go through the model one by one.
_BATCH: Final = 16
#: Of the largest value in a tensor. float32 sums in another order differ by 1e-6
#: a layer; a tensor that was not written is off by its whole size.
_AGREEMENT: Final = 1e-2
#: More threads than this gain little at batch 1.
_MOST_THREADS: Final = 4


def observe(
    graph: FloatGraph, dataset: Dataset, progress: Progress, *, histograms: bool = False
) -> Ranges:
    """Watch every float activation over ``dataset``, inputs and outputs too.

    Args:
        graph: A float graph of this format.
        dataset: Read once, as a stream.
        progress: Advanced an item at a time.
        histograms: Count values too, for calibrators that need it.

    Returns:
        Tensor name -> true minimum and maximum (and histogram).

    Raises:
        UsageError: The dataset is empty or doesn't fit the model's inputs.
        RefusedInput: A tensor came out NaN or infinite.
    """
    watched = _activations(graph)
    bins = HISTOGRAM_BINS if histograms else 0
    observers = {i: Observer(_label(graph, n), bins) for i, n in watched.items()}
    for interpreter in _runs(graph, dataset, watched):
        for index, observer in observers.items():
            observer.update(interpreter.tensor(index)())
        progress.advance()
    if not len(dataset):
        raise UsageError(f"{dataset.name} holds no item to calibrate on.", "Give at least one.")
    return {name: observers[index].range() for index, name in watched.items()}


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
    watched = {i: name for i, name in _activations(graph).items() if name in set(tensors)}
    for interpreter in _runs(graph, dataset, watched):
        # LiteRT won't run while a view is held, so the caller gets what it can keep.
        yield {name: interpreter.get_tensor(index) for index, name in watched.items()}


def _runs(graph: FloatGraph, dataset: Dataset, watched: Mapping[int, str]) -> Iterator[Any]:
    """The interpreter, after each item in turn."""
    content = graph.path.read_bytes()
    interpreter = None
    for batch in dataset.batches(_BATCH):
        for items in zip(*batch.x, strict=True):
            feeds = [_feed(x, spec) for x, spec in zip(items, graph.inputs, strict=True)]
            if interpreter is None:
                interpreter = _trusted_interpreter(content, feeds, watched)
            _run(interpreter, feeds)
            yield interpreter


def _activations(graph: FloatGraph) -> Mapping[int, str]:
    """Index -> name of the float tensors that operators write or the caller feeds."""
    model = flatbuffer.view(graph.path)
    main = model.subgraphs[0]
    indices = [*main.inputs, *(i for op in main.operators for i in op.outputs)]
    return {
        int(i): flatbuffer.name_of(main.tensors[i])
        for i in dict.fromkeys(indices)
        if flatbuffer.dtype_of(main.tensors[i]) == "float32"
        and not flatbuffer.is_constant(model, main.tensors[i])
    }


def _label(graph: FloatGraph, tensor: str) -> str:
    layer = graph.tensor_layers.get(tensor)
    return f"the layer {layer!r}" if layer else f"the tensor {tensor.split(';')[0]!r}"


def _feed(x: Array, spec: TensorSpec) -> Array:
    if tuple(x.shape) != tuple(spec.shape[1:]):
        raise UsageError(
            f"The model's input {spec.name!r} takes {list(spec.shape[1:])}, not {list(x.shape)}.",
            "Preprocess the data for this model.",
        )
    return x[np.newaxis].astype(spec.dtype, copy=False)


def _trusted_interpreter(content: bytes, feeds: list[Array], watched: Mapping[int, str]) -> Any:
    """The fast interpreter where it writes what the plain one does, else the plain one."""
    from ai_edge_litert.interpreter import OpResolverType

    plain = _open(content, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    fast = _open(content, OpResolverType.AUTO)
    _run(plain, feeds)
    _run(fast, feeds)
    try:
        agree = all(_same(plain.tensor(i)(), fast.tensor(i)()) for i in watched)
    except ValueError:  # XNNPACK keeps no memory for what only it reads, as in a long LSTM
        agree = False
    return fast if agree else plain


def _open(content: bytes, resolver: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that preserving all tensors takes memory
        interpreter = Interpreter(
            model_content=content,
            num_threads=min(_MOST_THREADS, os.cpu_count() or 1),
            experimental_op_resolver_type=resolver,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    return interpreter


def _run(interpreter: Any, feeds: list[Array]) -> None:
    for detail, feed in zip(interpreter.get_input_details(), feeds, strict=True):
        interpreter.set_tensor(detail["index"], feed)
    try:
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        cause = str(error).strip().splitlines()
        raise RefusedInput(
            f"The float TFLite file does not run: {cause[0] if cause else error}",
            "Export again with --debug and report it.",
        ) from error


def _same(expected: Array, found: Array) -> bool:
    with np.errstate(invalid="ignore"):
        size = float(np.abs(expected).max(initial=0.0))
        difference = float(np.abs(expected - found).max(initial=0.0))
    # NaN compares false here; the observers then name the tensor.
    return difference <= _AGREEMENT * size
