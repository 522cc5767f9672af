"""Erfc(x)  ->  1 - Erf(x)

Exact GELU reaches TensorFlow's graph as ``Erfc``, which ONNX does not have and
tf2onnx passes through. Far below zero the difference loses relative precision,
where GELU multiplies it by x and so by next to nothing (2e-6 in ConvNeXtTiny).

Requires: nothing.
Ensures: no ``Erfc`` is left.
"""

from __future__ import annotations

import numpy as np

from edgeconv.targets.onnx.model import Model, replace_nodes, set_constant
from edgeconv.targets.onnx.passes.base import Context

__all__ = ["mend_erfc"]

_ONE = "edgeconv_erfc_one"


def mend_erfc(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module."""
    from onnx import helper

    nodes = []
    for node in model.graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        erf = f"{node.output[0]}_erf"
        nodes.append(helper.make_node("Erf", [node.input[0]], [erf], f"{node.name}_erf"))
        nodes.append(helper.make_node("Sub", [_ONE, erf], [node.output[0]], node.name))
    if len(nodes) == len(model.graph.node):
        return model, False
    replace_nodes(model, nodes)
    set_constant(model, _ONE, np.array(1.0, np.float32))
    return model, True
