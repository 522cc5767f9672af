"""Gemm(x, W, b) * s + t  ->  Gemm(x, W * s, b * s + t)

BatchNorm behind a Dense layer, which onnxruntime's basic optimisation leaves. Either
of the two may be absent. With alpha = beta = 1 and W [I, O] (transB = 0):

    (x W + b) * s + t  =  x (W * s) + (b * s + t),    s, t [O] or one number

Requires: MatMul + bias fused to Gemm (``fold``).
Ensures: no Gemm is read by one Mul or Add with a constant alone.
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
    for gemm in model.graph.node:
        if not _is_plain(gemm, held) or used[gemm.output[0]] != 1 or gemm.output[0] in outputs:
            continue
        reader = readers[gemm.output[0]]
        width = held[gemm.input[1]].dims[1]
        value = _channelwise(reader, gemm.output[0], held, width)
        if value is not None:
            _absorb(model, gemm, reader, value, held)
            return True
    return False


def _is_plain(node: Node, held: Mapping[str, Tensor]) -> bool:
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


def _channelwise(node: Node, source: str, held: Mapping[str, Tensor], width: int) -> Array | None:
    """The constant that ``node`` multiplies with or adds, as [O]."""
    if node.op_type not in ("Mul", "Add"):
        return None
    other = node.input[1] if node.input[0] == source else node.input[0]
    if other not in held or held[other].data_type != 1:
        return None
    value = array_of(held[other])
    if value.size == 1:
        return np.broadcast_to(value.reshape(1), (width,))
    # [O] or [1, O]; anything else would change the rank or mix rows.
    return (
        value.reshape(width) if value.size == width == value.shape[-1] and value.ndim <= 2 else None
    )


def _absorb(
    model: Model, gemm: Node, reader: Node, value: Array, held: Mapping[str, Tensor]
) -> None:
    taken = set(held)
    changes = {2: _apply(reader.op_type, array_of(held[gemm.input[2]]).reshape(-1), value)}
    if reader.op_type == "Mul":
        changes[1] = array_of(held[gemm.input[1]]) * value
    for slot, array in changes.items():
        # A fresh name, as another node may read the old constant.
        gemm.input[slot] = fresh_name(gemm.input[slot], taken)
        set_constant(model, gemm.input[slot], array.astype(np.float32))
    gemm.output[0] = reader.output[0]
    replace_nodes(model, [n for n in model.graph.node if n is not reader and n != reader])


def _apply(op: str, bias: Array, value: Array) -> Array:
    return bias * value if op == "Mul" else bias + value
