"""HARD_SWISH(x)  ->  MUL(x, ADD(MUL(x, 1/6), 1/2))

    hard_swish(x) = x * clamp(x / 6 + 1/2, 0, 1)

The clamp is the saturation of int8: x / 6 in steps of 1/254 ends at -1/2 and 1/2, and
1/2 is 127 of those steps, so that adding it rounds nothing.
"""

from __future__ import annotations

import numpy as np

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.integer.edit import (
    HIGHEST,
    LOWEST,
    activation,
    constant,
    is_int8,
    operator,
)

__all__ = ["hard_swish_by_products"]

_STEP = 1 / (2 * HIGHEST)


def hard_swish_by_products(model: fb.ModelT) -> None:
    """See the module."""
    graph, names = model.subgraphs[0], fb.operator_names(model)
    if "HARD_SWISH" not in names:
        return
    sixth = half = -1
    made = []
    for found in graph.operators:
        tensor = graph.tensors[found.inputs[0]]
        output = graph.tensors[found.outputs[0]]
        if names[found.opcodeIndex] != "HARD_SWISH" or not (is_int8(tensor) and is_int8(output)):
            made.append(found)
            continue
        if sixth < 0:
            sixth = _number(model, "hard_swish/sixth", 1 / 6)
            half = _number(model, "hard_swish/half", 1 / 2)
        made += _products(model, found, sixth, half)
    graph.operators = made


def _number(model: fb.ModelT, name: str, value: float) -> int:
    return constant(model, name, np.array([HIGHEST], np.int8), [value / HIGHEST])


def _products(model: fb.ModelT, found: object, sixth: int, half: int) -> list[object]:
    from ai_edge_litert import schema_py_generated as schema

    tensors = model.subgraphs[0].tensors
    x, y = int(found.inputs[0]), int(found.outputs[0])  # type: ignore[attr-defined]
    name, shape = fb.name_of(tensors[y]), tensors[y].shape
    slope = activation(model, f"{name}/sixth", shape, _STEP, 0)
    gate = activation(model, f"{name}/gate", shape, _STEP, LOWEST)
    return [
        operator(model, "MUL", [x, sixth], slope, schema.MulOptionsT()),
        operator(model, "ADD", [slope, half], gate, schema.AddOptionsT()),
        operator(model, "MUL", [x, gate], y, schema.MulOptionsT()),
    ]
