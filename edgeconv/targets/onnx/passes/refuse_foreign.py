"""Refuse operators that are not ONNX's.

tf2onnx logs "Tensorflow op [...] is not supported" and writes the operator into the
file all the same, under TensorFlow's name.

Requires: what can be mended has been.
Ensures: every operator is of the opset that the file names.
"""

from __future__ import annotations

from edgeconv.errors import Unsupported
from edgeconv.targets.names import layer_of
from edgeconv.targets.onnx.model import Model
from edgeconv.targets.onnx.passes.base import Context

__all__ = ["refuse_foreign"]


def refuse_foreign(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module.

    Raises:
        Unsupported: Names each such operator and its Keras layer.
    """
    from onnx import defs

    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    found = {
        f"{node.op_type} (layer {layer_of(node.name, context.layers) or node.name or '?'})"
        for node in model.graph.node
        if node.domain not in ("", "ai.onnx") or not defs.has(node.op_type, opset, "")
    }
    if found:
        raise Unsupported(
            f"ONNX has no operator for {', '.join(sorted(found))}.",
            "Replace the layer with one made of common operations, or export with --format tflite.",
        )
    return model, False
