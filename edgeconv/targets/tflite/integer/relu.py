"""RELU(x)  ->  QUANTIZE(x)

The output's lowest integer stands for 0, so what is negative saturates there: rounding
to the steps of the output is all that RELU did beside.
"""

from __future__ import annotations

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.integer.edit import (
    LOWEST,
    is_int8,
    operator,
    scale_of,
    zero_point_of,
)

__all__ = ["relu_by_quantize"]

#: What XNNPACK's conversion takes (xnn_define_convert), as a ratio of the two scales.
_FINEST, _COARSEST = 2.0**-8, 2.0**7


def relu_by_quantize(model: fb.ModelT) -> None:
    """See the module."""
    from ai_edge_litert import schema_py_generated as schema

    graph, names = model.subgraphs[0], fb.operator_names(model)
    for at, found in enumerate(graph.operators):
        source, made = graph.tensors[found.inputs[0]], graph.tensors[found.outputs[0]]
        if names[found.opcodeIndex] != "RELU" or not (is_int8(source) and is_int8(made)):
            continue
        ratio = scale_of(source) / scale_of(made)
        if zero_point_of(made) == LOWEST and _FINEST <= ratio <= _COARSEST:
            graph.operators[at] = operator(
                model,
                "QUANTIZE",
                found.inputs,
                found.outputs[0],
                schema.QuantizeOptionsT(),
            )
