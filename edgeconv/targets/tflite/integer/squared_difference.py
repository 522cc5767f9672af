"""SQUARED_DIFFERENCE(a, b)  ->  MUL(d, d),  d = SUB(a, b)

The square's own range says how far d goes: to the root of its highest value, either
way. The rounding of d is felt where the square is large, at most by two of its steps.
"""

from __future__ import annotations

import math
from typing import Any

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.integer.edit import (
    HIGHEST,
    activation,
    is_int8,
    operator,
    scale_of,
    zero_point_of,
)

__all__ = ["squared_difference_by_product"]


def squared_difference_by_product(model: fb.ModelT) -> None:
    """See the module."""
    graph, names = model.subgraphs[0], fb.operator_names(model)
    made: list[Any] = []
    for found in graph.operators:
        ends = [graph.tensors[i] for i in (*found.inputs, *found.outputs)]
        if names[found.opcodeIndex] == "SQUARED_DIFFERENCE" and all(map(is_int8, ends)):
            made += _product(model, found)
        else:
            made.append(found)
    graph.operators = made


def _product(model: fb.ModelT, found: Any) -> list[Any]:
    from ai_edge_litert import schema_py_generated as schema

    y = int(found.outputs[0])
    square = model.subgraphs[0].tensors[y]
    highest = scale_of(square) * (HIGHEST - zero_point_of(square))
    name = f"{fb.name_of(square)}/difference"
    difference = activation(model, name, square.shape, math.sqrt(highest) / HIGHEST, 0)
    return [
        operator(model, "SUB", found.inputs, difference, schema.SubOptionsT()),
        operator(model, "MUL", [difference, difference], y, schema.MulOptionsT()),
    ]
