"""DEQUANTIZE -> OP -> QUANTIZE   becomes   OP, where TFLite has it in int8

ai-edge-quantizer has rules for some operators alone and leaves the others in float
between two conversions. These have int8 kernels with free scales on both sides:

    ABS, LEAKY_RELU   computed
    ELU, EXP, LOG     looked up in a table of all 256 answers
    NEG               MUL(x, -1): NEG itself is float alone (neg.cc)

Source: tensorflow/lite/kernels/activations.cc, elementwise.cc and exp.cc; versions from
tensorflow/compiler/mlir/lite/tools/versioning/op_version.cc.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.integer.edit import HIGHEST, constant, is_int8, operator

__all__ = ["compute_inside"]

#: Operator -> the first version that takes int8.
_INT8: Final[Mapping[str, int]] = {"ABS": 2, "ELU": 1, "EXP": 2, "LEAKY_RELU": 2, "LOG": 2}


def compute_inside(model: fb.ModelT, floats: Collection[str] = ()) -> None:
    """See the module.

    Args:
        model: Changed in place.
        floats: Names of tensors whose operators the recipe keeps in float.
    """
    graph, names = model.subgraphs[0], fb.operator_names(model)
    before, behind = _borders(graph, names)
    gone: set[int] = set()
    for at, found in enumerate(graph.operators):
        kind = names[found.opcodeIndex]
        if kind not in (*_INT8, "NEG"):
            continue
        entry, exit = before.get(int(found.inputs[0])), behind.get(int(found.outputs[0]))
        if entry is None or exit is None:
            continue
        source, target = int(entry.inputs[0]), int(exit.outputs[0])
        integers = is_int8(graph.tensors[source]) and is_int8(graph.tensors[target])
        if not integers or fb.name_of(graph.tensors[found.outputs[0]]) in floats:
            continue
        gone.add(id(exit))
        if kind == "NEG":
            graph.operators[at] = _negated(model, source, target)
        else:
            code = model.operatorCodes[found.opcodeIndex]
            code.version = max(code.version, _INT8[kind])
            found.inputs, found.outputs = [source], [target]
    graph.operators = [found for found in graph.operators if id(found) not in gone]
    _drop_unread(graph, names)


def _borders(graph: Any, names: list[str]) -> tuple[dict[int, Any], dict[int, Any]]:
    """Float tensor -> the DEQUANTIZE that makes it; -> the QUANTIZE that alone reads it."""
    reads = Counter(int(i) for found in graph.operators for i in found.inputs)
    reads.update(int(i) for i in graph.outputs)
    before, behind = {}, {}
    for found in graph.operators:
        if names[found.opcodeIndex] == "DEQUANTIZE":
            before[int(found.outputs[0])] = found
        elif names[found.opcodeIndex] == "QUANTIZE" and reads[int(found.inputs[0])] == 1:
            behind[int(found.inputs[0])] = found
    return before, behind


def _negated(model: fb.ModelT, source: int, target: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    # -127 steps of 1/127, so that int8 is symmetric.
    one = constant(model, "minus_one", np.array([-HIGHEST], np.int8), [1.0 / HIGHEST])
    return operator(model, "MUL", [source, one], target, schema.MulOptionsT())


def _drop_unread(graph: Any, names: list[str]) -> None:
    """Take out each DEQUANTIZE that nobody reads any more."""
    read = {int(i) for found in graph.operators for i in found.inputs}
    read |= {int(i) for i in graph.outputs}
    graph.operators = [
        found
        for found in graph.operators
        if int(found.outputs[0]) in read
        or found.opcodeIndex >= len(names)
        or names[found.opcodeIndex] != "DEQUANTIZE"
    ]
