"""Let equal constants be one.

    Clip(x, a, b), Clip(y, c, d)  ->  Clip(x, a, b), Clip(y, a, b)    where a = c, b = d

Kernels and biases are left alone: each layer keeps its own, so that a pass can change
one layer without the others.

Requires: constants are folded.
Ensures: no two constants outside of kernels and biases are equal.
"""

from __future__ import annotations

import hashlib

from edgeconv.targets.onnx.kernels import FORMS
from edgeconv.targets.onnx.model import Model, drop_unused_constants
from edgeconv.targets.onnx.passes.base import Context

__all__ = ["share_constants"]


def share_constants(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module."""
    kernels = {
        name for node in model.graph.node if node.op_type in FORMS for name in node.input[1:]
    }
    keys = {
        tensor.name: (tensor.data_type, tuple(tensor.dims), _digest(tensor))
        for tensor in model.graph.initializer
        if tensor.name not in kernels
    }
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    changed = False
    for node in model.graph.node:
        for slot, name in enumerate(node.input):
            if name not in keys or (node.op_type in FORMS and slot > 0):
                continue
            shared = first.setdefault(keys[name], name)
            if shared != name:
                node.input[slot] = shared
                changed = True
    drop_unused_constants(model)
    return model, changed


def _digest(tensor: object) -> bytes:
    from onnx import numpy_helper

    return hashlib.sha256(numpy_helper.to_array(tensor).tobytes()).digest()
