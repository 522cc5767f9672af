"""ReduceMean(x [N, C, H, W], axes 2 and 3, keepdims)  ->  GlobalAveragePool(x)

The same mean; onnxruntime has an integer kernel for the second alone.

Requires: nothing.
Ensures: no such ReduceMean of a tensor that is known to have four axes.
"""

from __future__ import annotations

from edgeconv.targets.onnx.model import Model, Node, infer_shapes
from edgeconv.targets.onnx.passes.base import Context

__all__ = ["mean_to_pool"]

_SPATIAL = ([2, 3], [-2, -1])


def mean_to_pool(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module."""
    means = [node for node in model.graph.node if _is_spatial(node)]
    if not means:
        return model, False
    graph = infer_shapes(model).graph
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info)
    }
    found = [node for node in means if ranks.get(node.input[0]) == 4]
    for node in found:
        node.op_type = "GlobalAveragePool"
        del node.attribute[:]
    return model, bool(found)


def _is_spatial(node: Node) -> bool:
    attributes = {a.name: list(a.ints) if a.ints else a.i for a in node.attribute}
    return (
        node.op_type == "ReduceMean"
        and attributes.get("axes") in _SPATIAL
        and attributes.get("keepdims", 1) == 1
    )
