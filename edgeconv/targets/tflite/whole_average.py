"""AVERAGE_POOL_2D(x) of one window  ->  MEAN(x, rows and columns)

An int8 AVERAGE_POOL_2D has the same steps on both sides. An average over a whole picture
is far smaller than the largest value in it: MLPerf Tiny's ResNet8 gets 49 of 255 steps
for what its classifier reads, half of the noise in its logits. MEAN has steps of its own.

It comes before quantizing, which chooses the steps.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.integer.edit import constant, drop_unused_codes, operator

__all__ = ["whole_averages_by_mean"]

_ROWS_AND_COLUMNS: Final = (1, 2)


def whole_averages_by_mean(model: fb.ModelT, floats: Collection[str]) -> None:
    """See the module; ``model`` is changed.

    Args:
        model: Float.
        floats: Names of tensors whose operators stay in float.
    """
    graph, names = model.subgraphs[0], fb.operator_names(model)
    made: list[Any] = []
    axes = None
    for found in graph.operators:
        if names[found.opcodeIndex] == "AVERAGE_POOL_2D" and _is_whole(graph, found, floats):
            axes = _axes(model) if axes is None else axes
            made.append(_mean(model, found, axes))
        else:
            made.append(found)
    graph.operators = made
    if axes is not None:
        drop_unused_codes(model)


def _is_whole(graph: Any, found: Any, floats: Collection[str]) -> bool:
    """Whether one window without padding is the whole picture."""
    source, output = (graph.tensors[ends[0]] for ends in (found.inputs, found.outputs))
    options = found.builtinOptions
    window = [int(options.filterHeight), int(options.filterWidth)]
    return (
        [int(n) for n in source.shape[1:3]] == window
        and [int(n) for n in output.shape[1:3]] == [1, 1]
        and options.fusedActivationFunction == 0
        and fb.name_of(output) not in floats
    )


def _axes(model: fb.ModelT) -> int:
    index = constant(model, "average_pool/axes", np.array(_ROWS_AND_COLUMNS, np.int32), ())
    model.subgraphs[0].tensors[index].quantization = None
    return index


def _mean(model: fb.ModelT, found: Any, axes: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    options = schema.ReducerOptionsT()
    options.keepDims = True
    made = operator(model, "MEAN", [found.inputs[0], axes], found.outputs[0], options)
    # The quantizer asks whether there are any, which NumPy refuses to say of an array.
    made.inputs, made.outputs = list(made.inputs), list(made.outputs)
    return made
