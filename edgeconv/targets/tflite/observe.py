"""Observe: run the float file over a dataset and watch every activation.

XNNPACK runs a float MobileNetV2 seven times as fast as the built-in kernels
and, asked to preserve all tensors, writes each of them. What it fuses or skips
it would leave unwritten without a word, so the first item is run through both
and XNNPACK is trusted only where every tensor agrees.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgeconv.calibrate.observers import HISTOGRAM_BINS, Observer
from edgeconv.errors import RefusedInput, UsageError
from edgeconv.memory import blocks_apart, give_memory_back
from edgeconv.progress import Progress
from edgeconv.runtime.quiet import quiet_stderr
from edgeconv.targets.tflite import flatbuffer
from edgeconv.targets.tflite.segments import Segment, segments
from edgeconv.types import Array, Dataset, FloatGraph, Ranges, TensorSpec

__all__ = ["activations", "observe"]

#: Items read at once; they go through the model one by one.
_BATCH: Final = 16
#: What the items of a model in parts may hold between two of them.
_WAITING_BYTES: Final = 2**27
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
    for batch in _batches(graph, dataset, watched):
        for look in batch:
            for index in look.watched:
                observers[index].update(look.interpreter.tensor(index)())
            if look.is_last:
                progress.advance()
    give_memory_back()
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
    for batch in _batches(graph, dataset, watched):
        found: dict[int, dict[str, Array]] = {}
        for look in batch:
            # LiteRT won't run while a view is held, so the caller gets what it can keep.
            seen = {name: look.interpreter.get_tensor(i) for i, name in look.watched.items()}
            found.setdefault(look.item, {}).update(seen)
            if look.is_last:
                yield found.pop(look.item)


@dataclass(frozen=True)
class _Look:
    """One part of the model, after it ran an item.

    Attributes:
        item: Number in its batch.
        interpreter: Of the part.
        watched: Number -> name of the tensors that are to be looked at.
        is_last: Whether no part comes after it.
    """

    item: int
    interpreter: Any
    watched: Mapping[int, str]
    is_last: bool


def _batches(
    graph: FloatGraph, dataset: Dataset, watched: Mapping[int, str]
) -> Iterator[Iterator[_Look]]:
    """Batch by batch: each part in turn runs all items, then the next reads what it wrote."""
    parts = [_Part(segment) for segment in segments(graph.path, watched)]
    waiting = max(part.segment.waiting for part in parts)
    size = max(1, min(_BATCH, _WAITING_BYTES // max(1, waiting)))
    numbers = [int(i) for i in flatbuffer.view(graph.path).subgraphs[0].inputs]
    with blocks_apart() if len(parts) > 1 else nullcontext():
        for batch in dataset.batches(size):
            items = [
                [_feed(x, spec) for x, spec in zip(item, graph.inputs, strict=True)]
                for item in zip(*batch.x, strict=True)
            ]
            yield _looks(parts, [dict(zip(numbers, feeds, strict=True)) for feeds in items])


def _looks(parts: Sequence[_Part], alive: Sequence[dict[int, Array]]) -> Iterator[_Look]:
    for at, part in enumerate(parts):
        is_last = at == len(parts) - 1
        needed = {i for later in parts[at + 1 :] for i in later.segment.inputs}
        for number, known in enumerate(alive):
            interpreter = part.run([known[i] for i in part.segment.inputs])
            yield _Look(number, interpreter, part.segment.watched, is_last)
            known |= {i: interpreter.get_tensor(i) for i in part.segment.outputs}
            for gone in known.keys() - needed:
                del known[gone]
        if len(parts) > 1:
            part.close()


class _Part:
    """A part of the model, opened when it is run."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self._interpreter: Any = None
        self._resolver: Any = None

    def run(self, feeds: list[Array]) -> Any:
        """The interpreter, after it ran ``feeds``."""
        if self._resolver is None:
            content, watched = self.segment.read(), self.segment.watched
            self._resolver, self._interpreter = _trusted(content, feeds, watched)
        elif self._interpreter is None:
            self._interpreter = _open(self.segment.read(), self._resolver)
        _run(self._interpreter, feeds)
        return self._interpreter

    def close(self) -> None:
        """Give its memory back."""
        self._interpreter = None


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


def _trusted(content: bytes, feeds: list[Array], watched: Mapping[int, str]) -> tuple[Any, Any]:
    """The fast kernels where they write what the plain ones do, else the plain ones; opened."""
    from ai_edge_litert.interpreter import OpResolverType

    slow, quick = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO
    plain, fast = _open(content, slow), _open(content, quick)
    _run(plain, feeds)
    _run(fast, feeds)
    try:
        agree = all(_same(plain.tensor(i)(), fast.tensor(i)()) for i in watched)
    except ValueError:  # XNNPACK keeps no memory for what only it reads, as in a long LSTM
        agree = False
    return (quick, fast) if agree else (slow, plain)


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
