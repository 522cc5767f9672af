"""Pad(x, 0) -> MaxPool   becomes   Pad(x, 1.2e-38) -> MaxPool

onnxruntime's PadFusion (1.31, basic optimisation and so every session) takes a Pad of
zeros into the pads of the MaxPool behind it, which stand for minus infinity: where all
of a border window is negative, 0 becomes that window's largest value. ResNet50V2 pads
the output of a convolution so, and its logits were 2% off. The smallest normal float32
is no zero to that fusion, and none to no other.

Requires: nothing.
Ensures: no Pad of zeros before a MaxPool, with nothing but Transposes between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from edgeconv.targets.onnx.model import (
    Model,
    Node,
    Tensor,
    array_of,
    constants,
    fresh_name,
    set_constant,
)
from edgeconv.targets.onnx.passes.base import Context

__all__ = ["keep_pads"]

_ALMOST_ZERO: Final = np.finfo(np.float32).tiny
_THROUGH: Final = ("Transpose", "Identity")
#: Writers of what is never negative.
_NOT_NEGATIVE: Final = ("Relu", "Sigmoid", "HardSigmoid")
_FLOAT: Final = 1


def keep_pads(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module."""
    held = constants(model)
    writers = {name: node for node in model.graph.node for name in node.output}
    readers: dict[str, list[Node]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = [
        node
        for node in model.graph.node
        if node.op_type == "Pad"
        and _of_zeros(node, held)
        and _to_max_pool(node, readers)
        and not _not_negative(node.input[0], writers)
    ]
    if not found:
        return model, False
    value = fresh_name("almost_zero", {*held, *readers, *(node.output[0] for node in found)})
    set_constant(model, value, np.array(_ALMOST_ZERO, np.float32))
    for node in found:
        # data, pads, constant_value, axes (opset 18)
        node.input[:] = [*node.input[:2], value, *node.input[3:]]
    return model, True


def _of_zeros(node: Node, held: Mapping[str, Tensor]) -> bool:
    if any(a.name == "mode" and a.s not in (b"", b"constant") for a in node.attribute):
        return False
    name = node.input[2] if len(node.input) > 2 else ""
    if not name:
        return True
    value = held.get(name)
    return value is not None and value.data_type == _FLOAT and not array_of(value).any()


def _to_max_pool(node: Node, readers: Mapping[str, Sequence[Node]]) -> bool:
    return any(
        reader.op_type == "MaxPool"
        or (reader.op_type in _THROUGH and _to_max_pool(reader, readers))
        for reader in readers.get(node.output[0], ())
    )


def _not_negative(name: str, writers: Mapping[str, Node]) -> bool:
    writer = writers.get(name)
    if writer is not None and writer.op_type in _THROUGH:
        return _not_negative(writer.input[0], writers)
    return writer is not None and writer.op_type in _NOT_NEGATIVE
