"""What the passes share: finding int8 operators, adding tensors and operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.types import Array

__all__ = [
    "HIGHEST",
    "LOWEST",
    "activation",
    "constant",
    "drop_unused_codes",
    "is_int8",
    "operator",
    "scale_of",
    "zero_point_of",
]

LOWEST, HIGHEST = -128, 127
#: The first versions with int8 (register.cc); QUANTIZE's with int8 on both sides.
_VERSIONS = {"ADD": 2, "DEPTHWISE_CONV_2D": 3, "MEAN": 2, "MUL": 2, "QUANTIZE": 2, "SUB": 2}


def is_int8(tensor: Any) -> bool:
    """Whether a TensorT is int8 with one scale."""
    quantization = tensor.quantization
    return (
        fb.dtype_of(tensor) == "int8"
        and quantization is not None
        and quantization.scale is not None
        and len(quantization.scale) == 1
    )


def scale_of(tensor: Any) -> float:
    """Size of one step in real units."""
    return float(tensor.quantization.scale[0])


def zero_point_of(tensor: Any) -> int:
    """The integer that stands for 0.0."""
    return int(tensor.quantization.zeroPoint[0])


def activation(
    model: fb.ModelT, name: str, shape: Sequence[int], scale: float, zero_point: int
) -> int:
    """Index of a new int8 tensor that an operator will write."""
    return _add(model, name, shape, "INT8", [scale], [zero_point], buffer=0)


def constant(
    model: fb.ModelT,
    name: str,
    value: Array,
    scales: Sequence[float],
    axis: int = 0,
) -> int:
    """Index of a new symmetric constant.

    Args:
        model: Gets it.
        name: A number is put behind it where it is taken.
        value: int8 or int32.
        scales: One, or one a channel.
        axis: Of the channels.
    """
    kind = {"int8": "INT8", "int32": "INT32"}[str(value.dtype)]
    buffer = type(model.buffers[0])()
    buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
    model.buffers.append(buffer)
    zeros = [0] * len(scales)
    index = _add(model, name, value.shape, kind, scales, zeros, buffer=len(model.buffers) - 1)
    model.subgraphs[0].tensors[index].quantization.quantizedDimension = axis
    return index


def _add(
    model: fb.ModelT,
    name: str,
    shape: Sequence[int],
    kind: str,
    scales: Sequence[float],
    zero_points: Sequence[int],
    buffer: int,
) -> int:
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    tensor.name = fb.unused_name(model, name).encode()
    tensor.shape = np.array(shape, np.int32)
    tensor.type = getattr(schema.TensorType, kind)
    tensor.buffer = buffer
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = np.array(scales, np.float32)
    tensor.quantization.zeroPoint = np.array(zero_points, np.int64)
    tensors = model.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1


def operator(
    model: fb.ModelT, kind: str, inputs: Sequence[int], output: int, options: Any = None
) -> Any:
    """A new OperatorT, in no graph yet.

    Args:
        model: Its table of operators gets ``kind``.
        kind: Such as ``MUL``.
        inputs: Tensor indices.
        output: Tensor index.
        options: Such as a MulOptionsT; None where it has none.
    """
    from ai_edge_litert import schema_py_generated as schema

    made = schema.OperatorT()
    made.opcodeIndex = _code(model, kind)
    made.inputs = np.array(inputs, np.int32)
    made.outputs = np.array([output], np.int32)
    if options is not None:
        kinds = vars(schema.BuiltinOptions)
        made.builtinOptionsType = kinds[type(options).__name__.removesuffix("T")]
        made.builtinOptions = options
    return made


def _code(model: fb.ModelT, kind: str) -> int:
    from ai_edge_litert import schema_py_generated as schema

    names = fb.operator_names(model)
    if kind in names:
        return names.index(kind)
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = _VERSIONS[kind]
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def drop_unused_codes(model: fb.ModelT) -> None:
    """Take types that no operator is of any more out of the file's table."""
    operators = [found for graph in model.subgraphs for found in graph.operators]
    used = sorted({found.opcodeIndex for found in operators})
    for found in operators:
        found.opcodeIndex = used.index(found.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[index] for index in used]
