"""Structure: which operators a TFLite file has, and which of them are not integer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from edgeconv.targets.tflite import flatbuffer as fb

__all__ = ["count_operators", "float_outputs", "head", "weights_dtype"]

#: They carry values over the border between types, or rename axes.
_BORDER = frozenset({"CAST", "DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE"})
_FLOATS = frozenset({"float16", "float32", "float64", "bfloat16"})


def count_operators(model: fb.ModelT) -> tuple[dict[str, int], dict[str, int]]:
    """Count the operators of all subgraphs by type.

    Returns:
        All, and those that read or write a float tensor that is no constant,
        QUANTIZE and DEQUANTIZE among them; by name.
    """
    every: Counter[str] = Counter()
    floats: Counter[str] = Counter()
    for kind, tensors in _operators(model):
        every[kind] += 1
        floats[kind] += _any_float(model, tensors)
    return _sorted(every), _sorted(floats)


def float_outputs(model: fb.ModelT) -> Iterator[tuple[str, list[str]]]:
    """Type and names of the outputs of each operator that ``count_operators`` finds in float."""
    names = fb.operator_names(model)
    for graph in model.subgraphs:
        for operator in graph.operators:
            ends = [graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
            if _any_float(model, ends):
                outputs = [fb.name_of(graph.tensors[i]) for i in operator.outputs]
                yield names[operator.opcodeIndex], outputs


def _any_float(model: fb.ModelT, tensors: list[Any]) -> bool:
    return any(fb.dtype_of(t) in _FLOATS and not fb.is_constant(model, t) for t in tensors)


def weights_dtype(model: fb.ModelT) -> str:
    """The dtype of most bytes of constants; "" where there are none."""
    sizes: Counter[str] = Counter()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if fb.is_constant(model, tensor):
                sizes[fb.dtype_of(tensor)] += len(model.buffers[tensor.buffer].data)
    return max(sorted(sizes), key=sizes.__getitem__, default="")


def head(model: fb.ModelT) -> str:
    """The operator that gives the first output, such as ``SOFTMAX``; "" where none does."""
    graph, names = model.subgraphs[0], fb.operator_names(model)
    makers = {index: operator for operator in graph.operators for index in operator.outputs}
    index = graph.outputs[0]
    for _ in graph.operators:
        operator = makers.get(index)
        if operator is None:
            return ""
        name = str(names[operator.opcodeIndex])
        if name not in _BORDER:
            return name
        index = operator.inputs[0]
    return ""


def _operators(model: fb.ModelT) -> Iterator[tuple[str, list[Any]]]:
    names = fb.operator_names(model)
    for graph in model.subgraphs:
        for operator in graph.operators:
            ends = [*operator.inputs, *operator.outputs]
            yield names[operator.opcodeIndex], [graph.tensors[i] for i in ends if i >= 0]


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts) if counts[name]}
