"""Transpose -> Reshape -> MatMul -> ... -> Reshape -> Transpose    ->    Conv 1 x 1 -> ...

A Dense layer on a picture is a convolution of one pixel. tf2onnx moves the channels to
the end for it, makes rows of the pixels and takes the shape apart to put it together
again; ConvNeXt does so in each block:

    y[n, h, w, :] = x[n, h, w, :] W    ->    y' = Conv(x', W'),    W'[k, c, 0, 0] = W[c, k]

where a prime stands for channels first. What works element by element between the two
Transposes works likewise on x'.

Requires: constants folded; nothing but the batch axis is free.
Ensures: no Transpose [0, 2, 3, 1] all of whose values end in Transposes back, with
nothing between them but such products and operators that work element by element.
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
    drop_unread,
    fresh_name,
    infer_shapes,
    set_constant,
    uses,
)
from edgeconv.targets.onnx.passes.base import Context
from edgeconv.types import Array

__all__ = ["dense_to_conv"]

Shapes = Mapping[str, tuple[int | None, ...]]

#: Of onnx.AttributeProto.
_INTS: Final = 7
_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
_EACH: Final = frozenset({"Elu", "Erf", "HardSwish", "Neg", "Relu", "Sigmoid", "Sqrt", "Tanh"})
_PAIRS: Final = frozenset({"Add", "Div", "Mul", "Sub"})


def dense_to_conv(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module."""
    starts = [node for node in model.graph.node if _order(node) == _TO_LAST]
    if not starts:
        return model, False
    shapes = _shapes(model)
    held = constants(model)
    ends = {value.name for value in model.graph.output}
    changed = False
    for start in starts:
        region = _Region(start, shapes, held, ends)
        if region.grow(model.graph.node):
            region.rewrite(model)
            changed = True
    if changed:
        drop_unread(model)
        infer_shapes(model)
    return model, changed


class _Region:
    """What follows one Transpose, up to the Transposes back."""

    def __init__(
        self, start: Node, shapes: Shapes, held: Mapping[str, Tensor], ends: set[str]
    ) -> None:
        self._shapes, self._held, self._ends = shapes, held, ends
        #: Tensor with the channels last -> the one with the channels first, and how many they are.
        self._first = {start.output[0]: start.input[0]}
        self._nodes: list[Node] = []
        self._sizes: list[Node] = []
        self._products = 0
        source = shapes.get(start.input[0], ())
        self._picture = source[2:] if len(source) == 4 else None

    def grow(self, nodes: list[Node]) -> bool:
        """Whether all that is read of the start comes to an end that can be rewritten."""
        if self._picture is None or None in self._picture:
            return False
        for node in nodes:
            inside = [name for name in node.input if name in self._first]
            if not inside:
                continue
            if node.op_type == "Shape":
                self._sizes.append(node)
            elif not self._takes(node, inside):
                return False
        return bool(self._products) and self._sizes_are_idle(nodes)

    def _takes(self, node: Node, inside: list[str]) -> bool:
        if node.output[0] in self._ends or len(node.output) != 1:
            return False
        if _order(node) == _TO_FIRST:
            self._nodes.append(node)
            return True
        if not self._fits(node, inside):
            return False
        self._products += node.op_type == "MatMul"
        self._first[node.output[0]] = node.output[0]
        self._nodes.append(node)
        return True

    def _fits(self, node: Node, inside: list[str]) -> bool:
        shape = self._shapes.get(node.output[0], ())
        if node.op_type == "Reshape":
            # Rows of pixels, or the picture again: the channels stay the last axis.
            before = self._shapes.get(node.input[0], (None,))
            return shape[-1:] == before[-1:] != (None,) and (
                len(shape) == 2 or (len(shape) == 4 and shape[1:3] == self._picture)
            )
        if node.op_type == "MatMul":
            kernel = self._held.get(node.input[1])
            return kernel is not None and len(kernel.dims) == 2 and node.input[0] in self._first
        if node.op_type in _EACH:
            return True
        others = [name for name in node.input if name not in self._first]
        return node.op_type in _PAIRS and all(self._by_channel(n, shape) for n in others)

    def _by_channel(self, name: str, shape: tuple[int | None, ...]) -> bool:
        if name not in self._held:
            return False
        dims = list(self._held[name].dims)
        return int(np.prod(dims)) == 1 or (
            dims[-1] == shape[-1] and int(np.prod(dims)) == dims[-1] and len(dims) <= len(shape)
        )

    def _sizes_are_idle(self, nodes: list[Node]) -> bool:
        """Whether the shapes that are taken apart serve the region's own Reshapes alone."""
        told = {name for node in self._sizes for name in node.output}
        own = {id(node) for node in self._nodes if node.op_type == "Reshape"}
        for node in nodes:
            if told.isdisjoint(node.input):
                continue
            if id(node) not in own:
                told.update(node.output)
                if node.op_type not in (
                    "Cast",
                    "Concat",
                    "Gather",
                    "Slice",
                    "Squeeze",
                    "Unsqueeze",
                ):
                    return False
        return told.isdisjoint(self._ends)

    def rewrite(self, model: Model) -> None:
        """Let the channels stay where they are, in place."""
        taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
        taken |= set(constants(model))
        renamed = dict(self._first)
        for node in self._nodes:
            if node.op_type in ("Reshape", "Transpose"):
                renamed[node.output[0]] = renamed[node.input[0]]
                continue
            for slot, name in enumerate(node.input):
                node.input[slot] = renamed.get(name) or self._channels(model, node, name, taken)
            if node.op_type == "MatMul":
                node.op_type = "Conv"
                node.attribute.add(name="kernel_shape", type=_INTS, ints=[1, 1])
        gone = {node.output[0] for node in self._nodes if node.op_type in ("Reshape", "Transpose")}
        for node in model.graph.node:
            node.input[:] = [renamed[n] if n in gone else n for n in node.input]

    def _channels(self, model: Model, node: Node, name: str, taken: set[str]) -> str:
        """A constant in the form that goes with the channels first."""
        value = array_of(self._held[name])
        if node.op_type == "MatMul":
            made: Array = value.T[:, :, np.newaxis, np.newaxis]
        elif value.size == 1:
            return name
        else:
            made = value.reshape(-1, 1, 1)
        fresh = name if uses(model)[name] == 1 else fresh_name(name, taken)
        set_constant(model, fresh, np.ascontiguousarray(made))
        return fresh


def _order(node: Node) -> list[int]:
    if node.op_type != "Transpose":
        return []
    return next((list(a.ints) for a in node.attribute if a.name == "perm"), [])


def _shapes(model: Model) -> Shapes:
    graph = infer_shapes(model).graph
    return {
        value.name: tuple(
            d.dim_value if d.HasField("dim_value") else None
            for d in value.type.tensor_type.shape.dim
        )
        for value in (*graph.input, *graph.value_info)
    }
