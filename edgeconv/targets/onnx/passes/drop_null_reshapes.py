"""Reshape(Squeeze(x)), Reshape(Transpose(x))  ->  x,    where the elements stay in order

tf2onnx writes [N, C, 1, 1] -> [N, C] -> [N, C, 1, 1] around squeeze-and-excite, and in
EfficientNetB7 [N, C, 1, 1] -> [N, 1, 1, C] -> [N, C, 1, 1] as well. The means of some of ConvNeXt's
LayerNorms go [N, 1, H, W] -> [N, H, W, 1] -> [N, 1, H, W].

Requires: constants folded; nothing but the batch axis is free.
Ensures: no chain of Reshape, Squeeze, Unsqueeze, Flatten and Transposes that only move
axes of length 1 ends in the shape that it began with.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgeconv.targets.onnx.model import (
    Model,
    Node,
    drop_unread,
    infer_shapes,
)
from edgeconv.targets.onnx.passes.base import Context

__all__ = ["drop_null_reshapes"]

_CHAIN = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten"})

Shape = tuple[int | None, ...]


def drop_null_reshapes(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module."""
    if not any(node.op_type in (*_CHAIN, "Transpose") for node in model.graph.node):
        return model, False
    shapes = _shapes(model)
    outputs = {value.name for value in model.graph.output}
    writers = {name: node for node in model.graph.node for name in node.output}
    renamed: dict[str, str] = {}
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if _keeps_order(node, shapes) and node.output[0] not in outputs:
            source = _origin(node, writers, shapes)
            if source is not None:
                renamed[node.output[0]] = renamed.get(source, source)
    if renamed:
        drop_unread(model)
    return model, bool(renamed)


def _shapes(model: Model) -> dict[str, Shape]:
    """Shapes that are known but for their first axis."""
    graph = infer_shapes(model).graph
    found = {}
    for value in (*graph.input, *graph.value_info):
        dims = value.type.tensor_type.shape.dim
        shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)
        if len(shape) > 1 and None not in shape[1:]:
            found[value.name] = shape[1:]
    return found


def _origin(node: Node, writers: Mapping[str, Node], shapes: Mapping[str, Shape]) -> str | None:
    """The farthest tensor up the chain that has the shape which ``node`` gives, or None."""
    wanted, found = shapes.get(node.output[0]), None
    step: Node | None = node
    while wanted is not None and step is not None and _keeps_order(step, shapes):
        if shapes.get(step.input[0]) == wanted:
            found = step.input[0]
        step = writers.get(step.input[0])
    return found


def _keeps_order(node: Node, shapes: Mapping[str, Shape]) -> bool:
    """Whether the elements come out in the order in which they went in."""
    if node.op_type != "Transpose":
        return node.op_type in _CHAIN
    order = next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
    shape = shapes.get(node.input[0])
    if shape is None or not order or order[0] != 0:
        return False
    long = [axis for axis in order[1:] if shape[axis - 1] != 1]
    return long == sorted(long)
