"""Gemm(x, W, b) * s + t  ->  Gemm(x, W * s, b * s + t),    and Conv(x, W, b) likewise

BatchNorm behind a Dense layer, which onnxruntime's basic optimisation leaves; the bias
and LayerScale of a Dense layer that became a Conv since. Either of the two may be absent,
and a Conv's b. With alpha = beta = 1 and W [I, O] (transB = 0):

    (x W + b) * s + t  =  x (W * s) + (b * s + t),    s, t [O] or one number

Requires: MatMul + bias fused to Gemm (``fold``).
Ensures: no Gemm or Conv is read by one Mul or Add with a constant of its channels alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeconv.targets.onnx.model import (
    Model,
    Node,
    Tensor,
    array_of,
    constants,
    drop_unused_constants,
    fresh_name,
    replace_nodes,
    set_constant,
    uses,
)
from edgeconv.targets.onnx.passes.base import Context
from edgeconv.types import Array

__all__ = ["fold_affine"]


def fold_affine(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module."""
    changed = False
    while _fold_one(model):
        changed = True
    if changed:
        drop_unused_constants(model)
    return model, changed


def _fold_one(model: Model) -> bool:
    held, used = constants(model), uses(model)
    readers = {name: node for node in model.graph.node for name in node.input}
    outputs = {value.name for value in model.graph.output}
    for node in model.graph.node:
        if not _is_plain(node, held) or used[node.output[0]] != 1 or node.output[0] in outputs:
            continue
        reader = readers[node.output[0]]
        value = _channelwise(reader, node, held)
        if value is not None:
            _absorb(model, node, reader, value, held)
            return True
    return False


def _is_plain(node: Node, held: Mapping[str, Tensor]) -> bool:
    return _is_plain_conv(node, held) if node.op_type == "Conv" else _is_plain_gemm(node, held)


def _is_plain_conv(node: Node, held: Mapping[str, Tensor]) -> bool:
    """A Conv with constant float32 W [O, I, H, W], and b [O] where it has one."""
    constant = [name for name in node.input[1:] if name]
    return (
        all(name in held and held[name].data_type == 1 for name in constant)
        and len(held[constant[0]].dims) == 4
    )


def _is_plain_gemm(node: Node, held: Mapping[str, Tensor]) -> bool:
    """A Gemm with constant float32 W [I, O] and b [O], alpha = beta = 1."""
    values = {a.name: a.f if a.type == 1 else a.i for a in node.attribute}
    return (
        node.op_type == "Gemm"
        and len(node.input) == 3
        and all(name in held and held[name].data_type == 1 for name in node.input[1:])
        and values.get("alpha", 1.0) == values.get("beta", 1.0) == 1.0
        and not values.get("transA", 0)
        and not values.get("transB", 0)
        and held[node.input[2]].dims[-1:] == held[node.input[1]].dims[1:]
    )


def _channelwise(reader: Node, node: Node, held: Mapping[str, Tensor]) -> Array | None:
    """The constant that ``reader`` multiplies with or adds, as [O]."""
    if reader.op_type not in ("Mul", "Add"):
        return None
    other = reader.input[1] if reader.input[0] == node.output[0] else reader.input[0]
    if other not in held or held[other].data_type != 1:
        return None
    value = array_of(held[other])
    conv = node.op_type == "Conv"
    width = held[node.input[1]].dims[0 if conv else 1]
    if value.size == 1 and value.ndim <= (4 if conv else 2):
        return np.broadcast_to(value.reshape(1), (width,))
    # Anything else would change the rank or mix rows.
    shapes = ((width, 1, 1), (1, width, 1, 1)) if conv else ((width,), (1, width))
    return value.reshape(width) if value.shape in shapes else None


def _absorb(
    model: Model, node: Node, reader: Node, value: Array, held: Mapping[str, Tensor]
) -> None:
    taken = set(held)
    kernel, conv = array_of(held[node.input[1]]), node.op_type == "Conv"
    changes = {}
    if reader.op_type == "Mul":
        changes[1] = kernel * (value[:, np.newaxis, np.newaxis, np.newaxis] if conv else value)
    if len(node.input) > 2 and node.input[2]:
        changes[2] = _apply(reader.op_type, array_of(held[node.input[2]]).reshape(-1), value)
    elif reader.op_type == "Add":
        node.input[2:] = [f"{node.output[0]}/bias"]
        changes[2] = value
    for slot, array in changes.items():
        # A fresh name, as another node may read the old constant.
        node.input[slot] = fresh_name(node.input[slot], taken)
        set_constant(model, node.input[slot], array.astype(np.float32))
    node.output[0] = reader.output[0]
    replace_nodes(model, [n for n in model.graph.node if n is not reader and n != reader])


def _apply(op: str, bias: Array, value: Array) -> Array:
    return bias * value if op == "Mul" else bias + value
