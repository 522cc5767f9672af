"""fp16: weights and activations in float16, inputs and outputs in float32.

    x -> Cast(float16) -> ... -> Cast(float32) -> y

A Cast stands only where a tensor goes from one precision to the other: at the inputs,
at the outputs, and around nodes that stay in float32. CPUs without float16 arithmetic
compute in float32 from the rounded weights.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.targets.onnx.model import (
    Model,
    Node,
    array_of,
    constants,
    element_types,
    fresh_name,
    infer_shapes,
    replace_nodes,
    set_constant,
    sort_constants,
)
from edgeconv.types import Array

__all__ = ["to_half"]

_FLOAT: Final = 1
_HALF: Final = 10
#: Inputs that are float32 by definition, whatever the rest is: operator -> slots.
_ALWAYS_FLOAT: Final = {"Resize": (2,)}


def to_half(model: Model, excluded: Collection[str]) -> Model:
    """Convert ``model``, which is used up.

    Args:
        model: Float, with the types of all tensors.
        excluded: Names of nodes that stay in float32.

    Raises:
        Unsupported: A weight is beyond float16's largest number, 65,504.
    """
    return _Rewriter(model).run(set(excluded))


class _Rewriter:
    """One pass over the nodes, with what they share."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._held = constants(model)
        types = element_types(model)
        self._floats = {name for name, kind in types.items() if kind == _FLOAT}
        self._floats |= {name for name, t in self._held.items() if t.data_type == _FLOAT}
        self._taken = {*types, *self._held}
        self._precision = {value.name: _FLOAT for value in model.graph.input}
        self._twins: dict[tuple[str, int], str] = {}
        self._nodes: list[Node] = []

    def run(self, excluded: Collection[str]) -> Model:
        for node in self._model.graph.node:
            self._convert(node, _FLOAT if node.name in excluded else _HALF)
        self._restore_outputs()
        replace_nodes(self._model, self._nodes)
        sort_constants(self._model)
        return infer_shapes(self._model)

    def _convert(self, node: Node, precision: int) -> None:
        always = _ALWAYS_FLOAT.get(node.op_type, ())
        for slot, name in enumerate(node.input):
            if name in self._floats:
                node.input[slot] = self._as(name, _FLOAT if slot in always else precision)
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == _FLOAT:
                attribute.i = precision
            if attribute.t.data_type == _FLOAT and precision == _HALF:
                attribute.t.CopyFrom(_half_tensor(array_of(attribute.t), attribute.t.name))
        self._precision.update((name, precision) for name in node.output)
        self._nodes.append(node)

    def _as(self, name: str, precision: int) -> str:
        """The tensor ``name`` in ``precision``: itself, a constant's twin or a Cast's output."""
        if self._precision.get(name, _FLOAT) == precision:
            return name
        key = (name, precision)
        if key not in self._twins:
            suffix = "half" if precision == _HALF else "float"
            self._twins[key] = fresh_name(f"{name}/{suffix}", self._taken)
            if name in self._held:
                value = _to_half(array_of(self._held[name]), name)
                set_constant(self._model, self._twins[key], value)
            else:
                self._cast(name, self._twins[key], precision)
        return self._twins[key]

    def _cast(self, name: str, output: str, precision: int) -> None:
        from onnx import helper

        self._nodes.append(
            helper.make_node("Cast", [name], [output], f"{output}:Cast", to=precision)
        )

    def _restore_outputs(self) -> None:
        """Let the graph's outputs be float32 under their own names."""
        for value in self._model.graph.output:
            name = value.name
            if name not in self._floats or self._precision.get(name, _FLOAT) == _FLOAT:
                continue
            inner = fresh_name(f"{name}/half", self._taken)
            for node in self._nodes:
                node.input[:] = [inner if n == name else n for n in node.input]
                node.output[:] = [inner if n == name else n for n in node.output]
            self._cast(inner, name, _FLOAT)


def _to_half(value: Array, name: str) -> Array:
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    if np.isfinite(value).all() and not np.isfinite(half).all():
        raise Unsupported(
            f"A weight of {name!r} is too large for float16.",
            "Keep that layer in fp32 with a scope in --recipe.",
        )
    return half


def _half_tensor(value: Array, name: str) -> object:
    from onnx import numpy_helper

    return numpy_helper.from_array(_to_half(value, name), name)
