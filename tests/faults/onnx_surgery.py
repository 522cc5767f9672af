"""Operators put in front of an ONNX model, or behind it."""

from typing import Any

import numpy as np

from edgeconv.targets.onnx.model import Model, array_of, constants, parse, set_constant, to_bytes


def with_softmax(content: bytes) -> bytes:
    """A softmax behind the output."""
    model = parse(content)
    _behind(model, "Softmax", "twice", {}, axis=1)
    return to_bytes(model)


def with_clip(content: bytes, low: float, high: float) -> bytes:
    """The output held between two bounds."""
    model = parse(content)
    bounds = {"clip_low": np.array(low, np.float32), "clip_high": np.array(high, np.float32)}
    _behind(model, "Clip", "clipped", bounds)
    return to_bytes(model)


def with_integer_output(content: bytes, scale: float, zero_point: int) -> bytes:
    """The output as uint8, in steps of ``scale``."""
    from onnx import TensorProto

    model = parse(content)
    step = {"raw_scale": np.array(scale, np.float32), "raw_zero": np.array(zero_point, np.uint8)}
    _behind(model, "QuantizeLinear", "raw", step)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    return to_bytes(model)


def _behind(model: Model, kind: str, name: str, inputs: dict[str, Any], **attributes: int) -> None:
    from onnx import helper

    (output,) = model.graph.output
    for constant, value in inputs.items():
        set_constant(model, constant, value)
    node = helper.make_node(kind, [output.name, *inputs], [name], **attributes)
    model.graph.node.append(node)
    output.name = name


def with_mixed_layout(content: bytes) -> bytes:
    """A reshape to [C, H, W] where a transpose was due."""
    model = parse(content)
    first = model.graph.node[0]
    assert first.op_type == "Transpose"
    dims = model.graph.input[0].type.tensor_type.shape.dim
    height, width, channels = (d.dim_value for d in dims[1:])
    set_constant(model, "mixed_shape", np.array([-1, channels, height, width], np.int64))
    first.op_type = "Reshape"
    del first.attribute[:]
    first.input.append("mixed_shape")
    return to_bytes(model)


def with_other_input_zero(content: bytes) -> bytes:
    """The input is written with one zero point and read with another: 0, or 128 for 0."""
    model = parse(content)
    writer = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    reader = next(node for node in model.graph.node if writer.output[0] in node.input)
    zero = int(array_of(constants(model)[writer.input[2]]))
    set_constant(model, "other_zero", np.array(0 if zero else 128, np.uint8))
    reader.input[2] = "other_zero"
    return to_bytes(model)
