"""Put the kernels that ``take_out`` took out of the frozen graph into the ONNX graph.

    input W -> Reshape -> Transpose -> Conv    ->    constant W' -> Conv

What tf2onnx does to the layout of a kernel is computed here, one kernel at a time,
from the frozen graph's file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from edgeconv.targets.onnx.model import (
    Model,
    Node,
    array_of,
    constants,
    drop_unused_constants,
    fresh_name,
    replace_nodes,
)
from edgeconv.targets.onnx.take_out import Place
from edgeconv.types import Array

__all__ = ["put_back"]

_FLOAT: Final = 1
_DTYPE: Final = np.dtype("<f4")


@dataclass(frozen=True)
class _Kernel:
    """A kernel and what is to be done to its layout."""

    place: Place
    steps: tuple[Callable[[Array], Array], ...] = ()

    def read(self, path: Path) -> Array:
        count = int(np.prod(self.place.shape))
        value: Array = np.fromfile(path, _DTYPE, count, offset=self.place.offset)
        value = value.reshape(self.place.shape)
        for step in self.steps:
            value = step(value)
        return value


def put_back(model: Model, places: Collection[Place], path: Path) -> None:
    """Replace the graph inputs that stand for kernels by constants, in place.

    Args:
        model: As tf2onnx wrote it, its nodes in order.
        places: Of the kernels that were taken out.
        path: The frozen graph.
    """
    kernels = {f"{place.name}:0": _Kernel(place) for place in places}
    kept = _carry_out(model, kernels)
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    taken |= set(constants(model))
    names: dict[str, str] = {}
    for node in kept:
        for slot, name in enumerate(node.input):
            if name not in kernels:
                continue
            if name not in names:
                names[name] = fresh_name(kernels[name].place.name, taken)
                _add(model, names[name], kernels[name].read(path))
            node.input[slot] = names[name]
    replace_nodes(model, kept)
    drop_unused_constants(model)
    given = {f"{place.name}:0" for place in places}
    for at in reversed(range(len(model.graph.input))):
        if model.graph.input[at].name in given:
            del model.graph.input[at]


def _carry_out(model: Model, kernels: dict[str, _Kernel]) -> list[Node]:
    """Take note of what happens to kernels' layouts, and give back all other nodes."""
    held, kept = constants(model), []
    ends = {value.name for value in model.graph.output}
    for node in model.graph.node:
        source = kernels.get(node.input[0]) if node.input else None
        step = _STEPS.get(node.op_type)
        rest = [name for name in node.input[1:] if name]
        if source and step and node.output[0] not in ends and all(n in held for n in rest):
            values = [array_of(held[name]) for name in rest]
            more = step(node, values)
            kernels[node.output[0]] = replace(source, steps=(*source.steps, more))
        else:
            kept.append(node)
    return kept


def _add(model: Model, name: str, value: Array) -> None:
    tensor = model.graph.initializer.add(name=name, data_type=_FLOAT, dims=value.shape)
    tensor.raw_data = np.ascontiguousarray(value, _DTYPE).tobytes()


def _transpose(node: Node, values: list[Array]) -> Callable[[Array], Array]:
    order = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
    return lambda x: x.transpose(order)


def _reshape(node: Node, values: list[Array]) -> Callable[[Array], Array]:
    # 0 keeps an axis as it is.
    return lambda x: x.reshape([n or x.shape[i] for i, n in enumerate(values[0].tolist())])


def _squeeze(node: Node, values: list[Array]) -> Callable[[Array], Array]:
    axes = tuple(values[0].tolist()) if values else None
    return lambda x: x.squeeze(axes)


def _unsqueeze(node: Node, values: list[Array]) -> Callable[[Array], Array]:
    return lambda x: np.expand_dims(x, tuple(values[0].tolist()))


def _identity(node: Node, values: list[Array]) -> Callable[[Array], Array]:
    return lambda x: x


_STEPS: Final[Mapping[str, Callable[[Node, list[Array]], Callable[[Array], Array]]]] = {
    "Identity": _identity,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
