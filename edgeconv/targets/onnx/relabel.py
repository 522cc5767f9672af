"""Mul by a positive number c  ->  the same integers in steps c times as long

    x_q ── DequantizeLinear(s, z) ── Mul c ── QuantizeLinear ── DequantizeLinear ── y
    x_q ── DequantizeLinear(c * s, z) ── y

Nothing is computed and nothing is rounded. Hard-swish and hard-sigmoid each lose an
operator of three (MobileNetV3Small: 28 of 57 QLinearMul), a Rescaling layer all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from edgeconv.targets.onnx.model import (
    Model,
    Node,
    Tensor,
    array_of,
    constants,
    fresh_name,
    replace_nodes,
    set_constant,
    uses,
)

__all__ = ["RELABELLED", "relabel_products"]

#: In the names of the steps that readers go by where a product went into them.
RELABELLED: Final = "_relabelled"


def relabel_products(model: Model) -> None:
    """See the module; ``model`` is a QDQ model."""
    removed: set[int] = set()
    writers = {name: node for node in model.graph.node for name in node.output}
    readers = _readers(model)
    held, used = constants(model), uses(model)
    taken = {*held, *writers}
    for product in model.graph.node:
        found = _number(product, writers, held) if product.op_type == "Mul" else None
        if found is None:
            continue
        source, number = found
        ends = _ends(product, readers, used)
        if ends is None:
            continue
        quantize, copies = ends
        scale = float(array_of(held[source.input[1]]))
        name = fresh_name(f"{source.input[1]}{RELABELLED}", taken)
        set_constant(model, name, np.array(scale * number, np.float32))
        for copy in copies:
            copy.input[:2] = [source.input[0], name]
            copy.input[2] = source.input[2]
        removed |= {id(product), id(quantize)}
    kept = [node for node in model.graph.node if id(node) not in removed]
    read = {name for node in kept for name in node.input}
    read |= {value.name for value in model.graph.output}
    # What only a product read.
    replace_nodes(
        model, [n for n in kept if n.op_type != "DequantizeLinear" or n.output[0] in read]
    )


def _readers(model: Model) -> dict[str, list[Node]]:
    found: dict[str, list[Node]] = {}
    for node in model.graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def _number(
    product: Node, writers: Mapping[str, Node], held: Mapping[str, Tensor]
) -> tuple[Node, float] | None:
    """The DequantizeLinear of an activation that ``product`` multiplies, and by which number."""
    steps = [writers.get(name) for name in product.input]
    if len(steps) != 2 or any(s is None or s.op_type != "DequantizeLinear" for s in steps):
        return None
    known = [s for s in steps if s is not None and s.input[0] in held]
    others = [s for s in steps if s is not None and s.input[0] not in held]
    if len(known) != 1 or len(others) != 1 or any(n != 1 for n in held[known[0].input[0]].dims):
        return None
    code, scale, zero = (array_of(held[name]).astype(np.float64) for name in known[0].input)
    number = ((code - zero) * scale).reshape(-1)
    if number.size != 1 or number[0] <= 0 or array_of(held[others[0].input[1]]).size != 1:
        return None
    return others[0], float(number[0])


def _ends(
    product: Node, readers: Mapping[str, list[Node]], used: Mapping[str, int]
) -> tuple[Node, list[Node]] | None:
    """The QuantizeLinear behind ``product``, and every DequantizeLinear that alone reads it."""
    found = readers.get(product.output[0], [])
    if len(found) != 1 or used[product.output[0]] != 1 or found[0].op_type != "QuantizeLinear":
        return None
    copies = readers.get(found[0].output[0], [])
    if used[found[0].output[0]] != len(copies):
        return None
    if not copies or any(node.op_type != "DequantizeLinear" for node in copies):
        return None
    return found[0], copies
