"""(x + b) * c  ->  x * c + b * c,    x * a * c  ->  x * (a * c),    x + b + d  ->  x + (b + d)

Layers that scale a model's input (Rescaling, Normalization) follow each other: one Mul
and one Add remain, which int8 rounds twice in place of four times. Constants of one
axis only, [C] or one number, are merged; products of larger ones would be larger still.

Requires: constants folded (``fold``).
Ensures: no Mul or Add with such a constant is read by such a Mul alone, no Add by such an Add.
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

__all__ = ["merge_affine"]

_FLOAT = 1


def merge_affine(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module."""
    changed = False
    while _merge_one(model):
        changed = True
    if changed:
        drop_unused_constants(model)
    return model, changed


def _merge_one(model: Model) -> bool:
    held, used = constants(model), uses(model)
    outputs = {value.name for value in model.graph.output}
    writers = {name: node for node in model.graph.node for name in node.output}
    for second in model.graph.node:
        source = _source(second, held)
        if source is None or source not in writers or used[source] != 1 or source in outputs:
            continue
        first = writers[source]
        x = _source(first, held)
        kinds = (first.op_type, second.op_type)
        if x is None or x in held or kinds == ("Mul", "Add"):
            continue
        _merge(model, first, second, x, held)
        return True
    return False


def _source(node: Node, held: Mapping[str, Tensor]) -> str | None:
    """What a Mul or Add with a small constant reads beside it; None for other nodes."""
    if node.op_type not in ("Mul", "Add"):
        return None
    known = [name for name in node.input if name in held and _is_small(held[name])]
    others = [name for name in node.input if name not in known]
    return str(others[0]) if len(known) == 1 and len(others) == 1 else None


def _is_small(tensor: Tensor) -> bool:
    """float32, and longer than 1 along one axis at most."""
    return bool(tensor.data_type == _FLOAT and sum(n != 1 for n in tensor.dims) <= 1)


def _constant(node: Node, source: str, held: Mapping[str, Tensor]) -> Array:
    other = node.input[1] if node.input[0] == source else node.input[0]
    return array_of(held[other]).astype(np.float64)


def _merge(model: Model, first: Node, second: Node, x: str, held: Mapping[str, Tensor]) -> None:
    one = _constant(first, x, held)
    other = _constant(second, first.output[0], held)
    taken = {*held, *(name for node in model.graph.node for name in node.output)}

    def held_as(value: Array) -> str:
        name = fresh_name(f"{second.output[0]}/merged", taken)
        set_constant(model, name, value.astype(np.float32))
        return name

    if first.op_type == second.op_type:
        value = one + other if second.op_type == "Add" else one * other
        second.input[:] = [x, held_as(value)]
        replace_nodes(model, [node for node in model.graph.node if node is not first])
        return
    # (x + one) * other: the product comes first now, the sum gives what the product gave.
    first.op_type, second.op_type = "Mul", "Add"
    first.input[:] = [x, held_as(other)]
    second.input[:] = [first.output[0], held_as(one * other)]
