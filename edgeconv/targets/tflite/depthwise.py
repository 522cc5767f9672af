"""CONV_2D of as many groups as channels  ->  DEPTHWISE_CONV_2D

A Keras ``Conv2D(groups=C)`` is a depthwise convolution by another name, and ONNX knows
it as one. TFLite's converter writes a grouped CONV_2D [O, h, w, 1]; as DEPTHWISE_CONV_2D
[1, h, w, O] its kernel lies in Keras's order as ONNX's does, [h, w, C, M], which passes
over the weights of both formats rest on. XNNPACK takes both alike (7 x 7 on 56 x 56 x 96:
5.9 ms and 5.4, one thread, AVX512). Channel o reads channel o // (O / C) in both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.integer.edit import drop_unused_codes, operator

__all__ = ["grouped_to_depthwise"]


def grouped_to_depthwise(model: fb.ModelT) -> None:
    """Rewrite the float ``model`` in place."""
    graph, names = model.subgraphs[0], fb.operator_names(model)
    made = {
        at: _operator(model, found)
        for at, found in enumerate(graph.operators)
        if names[found.opcodeIndex] == "CONV_2D" and _is_depthwise(model, found)
    }
    for index in {int(found.inputs[1]) for found in made.values()}:
        _turn(model, graph.tensors[index])
    for at, found in made.items():
        graph.operators[at] = found
    if made:
        drop_unused_codes(model)


def _operator(model: fb.ModelT, found: Any) -> Any:
    source, kernel = (model.subgraphs[0].tensors[i] for i in found.inputs[:2])
    options = _options(found.builtinOptions, int(kernel.shape[0]) // int(source.shape[-1]))
    return operator(model, "DEPTHWISE_CONV_2D", found.inputs, int(found.outputs[0]), options)


def _is_depthwise(model: fb.ModelT, found: Any) -> bool:
    tensors = model.subgraphs[0].tensors
    source, kernel = tensors[found.inputs[0]], tensors[found.inputs[1]]
    return (
        fb.is_constant(model, kernel)
        and fb.dtype_of(kernel) == "float32"
        and int(kernel.shape[3]) == 1 < int(source.shape[-1])
        and int(kernel.shape[0]) % int(source.shape[-1]) == 0
    )


def _turn(model: fb.ModelT, tensor: Any) -> None:
    """[O, h, w, 1] becomes [1, h, w, O]; tensors that share the buffer keep theirs."""
    value = np.ascontiguousarray(fb.array_of(model, tensor).transpose(3, 1, 2, 0))
    if sum(t.buffer == tensor.buffer for g in model.subgraphs for t in g.tensors) > 1:
        model.buffers.append(type(model.buffers[0])())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = np.frombuffer(value.tobytes(), np.uint8)
    tensor.shape = np.array(value.shape, np.int32)


def _options(grouped: Any, multiplier: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    made = schema.DepthwiseConv2DOptionsT()
    made.padding, made.depthMultiplier = grouped.padding, multiplier
    made.strideH, made.strideW = grouped.strideH, grouped.strideW
    made.dilationHFactor, made.dilationWFactor = grouped.dilationHFactor, grouped.dilationWFactor
    made.fusedActivationFunction = grouped.fusedActivationFunction
    return made
