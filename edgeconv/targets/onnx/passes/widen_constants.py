"""Mul(x [N, H, W, 3], s [3])  ->  Mul(x, S [W, 3])

onnxruntime walks over a broadcast in spans as long as the constant. In spans of three
numbers, the scaling of its input took 2.6 of the 11.3 ms of an int8 EfficientNetB0 and
1.0 of the 9.7 ms of the float one; in spans of a row it takes 0.1 ms (one thread,
AVX512; ``python benchmarks/latency.py efficientnetb0 --operators``).

Requires: constants folded and merged (``fold``, ``merge_affine``).
Ensures: the same products, bit by bit; what scales an input of few channels and of a
fixed width has constants of a whole row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeconv.targets.onnx.model import (
    Model,
    Node,
    array_of,
    constants,
    drop_unused_constants,
    fresh_name,
    set_constant,
)
from edgeconv.targets.onnx.passes.base import Context
from edgeconv.types import Array

__all__ = ["widen_constants"]

_FEW = 8
_ELEMENTWISE = ("Mul", "Add", "Sub", "Div")

Shape = tuple[int | None, ...]


def widen_constants(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module."""
    held = constants(model)
    taken = {*held, *(name for node in model.graph.node for name in node.output)}
    # Tensors that have the shape of an input, as all that was done is elementwise.
    shapes = {value.name: _shape(value) for value in model.graph.input}
    changed = False
    for node in model.graph.node:
        source = next((name for name in node.input if name in shapes), None)
        if node.op_type not in _ELEMENTWISE or source is None:
            continue
        slot = 1 if node.input[0] == source else 0
        tensor = held.get(node.input[slot])
        if tensor is None or not _keeps(tensor.dims, shapes[source]):
            continue
        shapes[node.output[0]] = shapes[source]
        if tensor.dims and tensor.dims[-1] > 1:
            width, channels = (n or 1 for n in shapes[source][-2:])
            row = np.broadcast_to(array_of(tensor).reshape(-1), (width, channels))
            _read(model, node, slot, np.ascontiguousarray(row), taken)
            changed = True
    if changed:
        drop_unused_constants(model)
    return model, changed


def _shape(value: object) -> Shape:
    dims = value.type.tensor_type.shape.dim  # type: ignore[attr-defined]
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)


def _keeps(dims: Sequence[int], shape: Shape) -> bool:
    """Whether a constant of ``dims``, one number or [C], leaves the picture ``shape``."""
    if len(shape) != 4 or None in shape[-2:] or not 1 < (shape[-1] or 0) <= _FEW:
        return False
    return len(dims) <= 4 and all(n == 1 for n in dims[:-1]) and dims[-1:] in ([], [1], [shape[-1]])


def _read(model: Model, node: Node, slot: int, value: Array, taken: set[str]) -> None:
    name = fresh_name(f"{node.output[0]}/row", taken)
    set_constant(model, name, value)
    node.input[slot] = name
