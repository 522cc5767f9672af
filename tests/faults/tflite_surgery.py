"""Operators put in front of a TFLite model, or behind it."""

from typing import Any

import numpy as np

from edgeconv.targets.tflite import flatbuffer
from edgeconv.types import Array

_LOWEST = -128
#: schema.fbs's kernel for int8 softmax demands this scale, and the lowest integer for zero.
SOFTMAX_SCALE = 1 / 256
#: Of each operator the version that takes int8.
_VERSIONS = {"SOFTMAX": 2, "RESHAPE": 1, "TRANSPOSE": 2}


def with_softmax(content: bytes) -> bytes:
    """A softmax behind the output."""
    from ai_edge_litert import schema_py_generated as schema

    tree = flatbuffer.parse(bytearray(content))
    graph = tree.subgraphs[0]
    before = int(graph.outputs[0])
    spec = graph.tensors[before]
    after = _tensor(tree, "twice", spec.shape, spec.type, SOFTMAX_SCALE, _LOWEST)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    _operator(tree, len(graph.operators), "SOFTMAX", options, [before], after)
    graph.outputs = [after]
    for signature in tree.signatureDefs or []:
        signature.outputs[0].tensorIndex = after
    return bytes(flatbuffer.to_bytes(tree))


def with_mixed_layout(content: bytes) -> bytes:
    """The input's bytes read as [C, H, W], then turned into [H, W, C]."""
    from ai_edge_litert import schema_py_generated as schema

    tree = flatbuffer.parse(bytearray(content))
    graph = tree.subgraphs[0]
    source = int(graph.inputs[0])
    spec = graph.tensors[source]
    _, height, width, channels = (int(n) for n in spec.shape)
    step = float(spec.quantization.scale[0]), int(spec.quantization.zeroPoint[0])
    mixed = _tensor(tree, "mixed", [1, channels, height, width], spec.type, *step)
    back = _tensor(tree, "back", spec.shape, spec.type, *step)
    for operator in graph.operators:
        operator.inputs = [back if int(i) == source else int(i) for i in operator.inputs]
    shape = _constant(tree, "mixed shape", np.array([1, channels, height, width], np.int32))
    order = _constant(tree, "order", np.array([0, 2, 3, 1], np.int32))
    _operator(tree, 0, "RESHAPE", schema.ReshapeOptionsT(), [source, shape], mixed)
    _operator(tree, 1, "TRANSPOSE", schema.TransposeOptionsT(), [mixed, order], back)
    return bytes(flatbuffer.to_bytes(tree))


def _tensor(tree: Any, name: str, shape: Any, kind: int, scale: float, zero_point: int) -> int:
    from ai_edge_litert import schema_py_generated as schema

    made = schema.TensorT()
    made.name, made.shape, made.type = name.encode(), [int(n) for n in shape], kind
    made.buffer = 0
    made.quantization = schema.QuantizationParametersT()
    made.quantization.scale = np.array([scale], np.float32)
    made.quantization.zeroPoint = np.array([zero_point], np.int64)
    tree.subgraphs[0].tensors.append(made)
    return len(tree.subgraphs[0].tensors) - 1


def _constant(tree: Any, name: str, value: Array) -> int:
    from ai_edge_litert import schema_py_generated as schema

    buffer, made = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(value.tobytes(), np.uint8)
    tree.buffers.append(buffer)
    made.name, made.shape, made.type = name.encode(), list(value.shape), schema.TensorType.INT32
    made.buffer = len(tree.buffers) - 1
    tree.subgraphs[0].tensors.append(made)
    return len(tree.subgraphs[0].tensors) - 1


def _operator(
    tree: Any, place: int, name: str, options: Any, inputs: list[int], output: int
) -> None:
    from ai_edge_litert import schema_py_generated as schema

    code, made = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    code.version = _VERSIONS[name]
    tree.operatorCodes.append(code)
    made.opcodeIndex = len(tree.operatorCodes) - 1
    made.inputs, made.outputs = inputs, [output]
    kind = type(options).__name__.removesuffix("T")
    made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
    made.builtinOptions = options
    tree.subgraphs[0].operators.insert(place, made)
