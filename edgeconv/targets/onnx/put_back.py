"""Put the kernels that ``take_out`` took out of the frozen graph into the ONNX graph.

    input W -> Reshape -> Transpose -> Conv    ->    constant W' -> Conv

What tf2onnx did to a kernel's layout is computed when its values are asked for, from
the frozen graph's file: the graph gets constants without values, and they follow when
it is written down for folding, one kernel at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
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
        """Its values, from the frozen graph at ``path``."""
        count = int(np.prod(self.place.shape))
        return self._laid_out(np.fromfile(path, _DTYPE, count, offset=self.place.offset))

    @property
    def shape(self) -> tuple[int, ...]:
        """After the steps."""
        count = int(np.prod(self.place.shape))
        return self._laid_out(np.broadcast_to(np.float32(0), count)).shape

    def _laid_out(self, value: Array) -> Array:
        value = value.reshape(self.place.shape)
        for step in self.steps:
            value = step(value)
        return value


def put_back(model: Model, places: Collection[Place], path: Path) -> dict[str, Callable[[], Array]]:
    """Let constants without values stand where graph inputs stood for kernels; in place.

    Args:
        model: As tf2onnx wrote it, its nodes in order.
        places: Of the kernels that were taken out.
        path: The frozen graph.

    Returns:
        What reads the values of each of these constants: float32 of its shape.
    """
    kernels = {f"{place.name}:0": _Kernel(place) for place in places}
    inputs = set(kernels)
    kept = _carry_out(model, kernels)
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    taken |= set(constants(model))
    names: dict[str, str] = {}
    for node in kept:
        for slot, name in enumerate(node.input):
            if name in kernels:
                if name not in names:
                    names[name] = fresh_name(kernels[name].place.name, taken)
                node.input[slot] = names[name]
    replace_nodes(model, kept)
    drop_unused_constants(model)
    for at in reversed(range(len(model.graph.input))):
        if model.graph.input[at].name in inputs:
            del model.graph.input[at]
    for old, name in names.items():
        model.graph.initializer.add(name=name, data_type=_FLOAT, dims=kernels[old].shape)
    return {name: partial(kernels[old].read, path) for old, name in names.items()}


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
