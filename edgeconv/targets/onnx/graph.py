"""The float ONNX file under Keras names: its layers, its weights, and changing them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeconv.errors import InternalError
from edgeconv.targets.anatomy import Anatomy, of_layers
from edgeconv.targets.names import layer_of, number_repeats
from edgeconv.targets.onnx.kernels import FORMS, output_axis
from edgeconv.targets.onnx.model import (
    Model,
    Node,
    Tensor,
    array_of,
    constants,
    drop_unused_constants,
    fresh_name,
    read,
    set_constant,
    uses,
    write,
)
from edgeconv.targets.onnx.window import window_of
from edgeconv.types import Array, FloatGraph, Layer, Weights

__all__ = ["Step", "assign_layers", "layers", "patch", "steps", "weights", "weights_in"]


@dataclass(frozen=True)
class Step:
    """A node of the file and the layer that it is."""

    layer: Layer
    node: Node


def assign_layers(model: Model, names: Collection[str]) -> dict[str, str]:
    """Tensor name -> Keras layer name, for what nodes write and the constants they read.

    Args:
        model: With nodes named after layers (``passes.name_nodes``).
        names: Keras layer names.
    """
    known, held = frozenset(names), set(constants(model))
    found: dict[str, str] = {}
    for node in model.graph.node:
        layer = layer_of(node.name, known)
        if layer is not None:
            for name in (*node.output, *(n for n in node.input if n in held)):
                found.setdefault(name, layer)
    return found


def layers(graph: FloatGraph) -> list[Layer]:
    """The nodes in execution order, under their Keras names.

    Nodes with a kernel get unique names (``sep``, ``sep#2``); others bear their
    layer's name, which may repeat.
    """
    return [step.layer for step in steps(read(graph.path), graph.tensor_layers)]


def steps(model: Model, tensor_layers: Mapping[str, str]) -> list[Step]:
    """As ``layers``, with the nodes."""
    held = constants(model)
    found = [Step(_layer(node, held, tensor_layers), node) for node in model.graph.node]
    unique = iter(number_repeats([s.layer.name for s in found if s.layer.weight]))
    return [
        replace(s, layer=replace(s.layer, name=next(unique))) if s.layer.weight else s
        for s in found
    ]


def _layer(node: Node, held: Mapping[str, Tensor], tensor_layers: Mapping[str, str]) -> Layer:
    form = FORMS.get(node.op_type)
    weight = _constant(node, form.weight, held) if form else ""
    return Layer(
        name=tensor_layers.get(node.output[0], node.output[0]),
        op=node.op_type,
        output=node.output[0],
        weight=weight,
        bias=_constant(node, form.bias, held) if form and form.bias and weight else "",
        inputs=tuple(name for name in node.input if name and name not in held),
        window=window_of(node, len(held[weight].dims) - 2) if weight else None,
    )


def _constant(node: Node, slot: int, held: Collection[str]) -> str:
    """The name of the constant at ``slot``, or ""."""
    name = node.input[slot] if slot < len(node.input) else ""
    return name if name in held else ""


def weights(graph: FloatGraph) -> Weights:
    """Kernels and biases in the Keras layout (see ``kernels``)."""
    model = read(graph.path)
    held = constants(model)
    return {
        step.layer.name: (
            np.ascontiguousarray(
                FORMS[step.layer.op].to_keras(array_of(held[step.layer.weight]), step.node)
            ),
            array_of(held[step.layer.bias]) if step.layer.bias else None,
        )
        for step in _weighted(model, graph.tensor_layers)
    }


def weights_in(graph: FloatGraph, file: Anatomy) -> Iterator[tuple[str, Array, Array | None]]:
    """See ``Target.weights_in``."""
    model = read(graph.path)
    held = constants(model)
    found = {step.layer.name: step for step in _weighted(model, graph.tensor_layers)}
    for layer, other in of_layers(file, (step.layer for step in found.values())):
        node, axis = found[layer.name].node, file.kernel_axis(other)
        shape = tuple(held[layer.weight].dims)
        # Behind its end, a widened kernel holds channels of zeros.
        kernel, bias = _first(file.kernel(other), shape), _first(file.bias(other), shape[axis:][:1])
        if kernel is not None and axis == output_axis(node):
            yield layer.name, np.ascontiguousarray(FORMS[layer.op].to_keras(kernel, node)), bias


def _first(value: Array | None, shape: tuple[int, ...]) -> Array | None:
    """The first of ``value``'s entries along each axis; None where there are not as many."""
    if value is None or value.ndim != len(shape):
        return None
    found = value[tuple(map(slice, shape))]
    return found if found.shape == shape else None


def _weighted(model: Model, tensor_layers: Mapping[str, str]) -> Iterator[Step]:
    return (step for step in steps(model, tensor_layers) if step.layer.weight)


def patch(graph: FloatGraph, weights: Weights, path: Path) -> FloatGraph:
    """``graph`` with the constants of ``weights`` in it, written to ``path``.

    A bias is added where an operator that can have one had none.

    Raises:
        InternalError: A layer isn't in the graph, or a shape differs.
    """
    model = read(graph.path)
    held = constants(model)
    found = {step.layer.name: step for step in _weighted(model, graph.tensor_layers)}
    names = dict(graph.tensor_layers)
    for layer, (kernel, bias) in weights.items():
        if layer not in found:
            raise InternalError(f"There is no layer {layer!r} to patch.")
        form, node = FORMS[found[layer].layer.op], found[layer].node
        shape = tuple(held[found[layer].layer.weight].dims)
        _put(model, node, form.weight, form.to_onnx(kernel, node, shape), layer, names)
        if bias is not None:
            if not form.bias:
                raise InternalError(f"{layer!r} ({node.op_type}) has no place for a bias.")
            _put(model, node, form.bias, bias, layer, names)
    drop_unused_constants(model)
    write(model, path)
    return replace(graph, path=path, tensor_layers=names)


def _put(
    model: Model, node: Node, slot: int, value: Array, layer: str, names: dict[str, str]
) -> None:
    """Let ``node`` alone read ``value`` at ``slot``."""
    held = constants(model)
    name = node.input[slot] if slot < len(node.input) else ""
    if not name:
        name = fresh_name(f"{layer}/bias", {*held, *names})
        node.input.extend([""] * (slot - len(node.input) + 1))
    elif tuple(held[name].dims) != value.shape:
        raise InternalError(f"{layer!r} holds {tuple(held[name].dims)}, not {value.shape}.")
    elif np.array_equal(array_of(held[name]), value):
        return  # two calls of one layer share it until they differ
    elif uses(model)[name] > 1:
        name = fresh_name(name, {*held, *names})
    node.input[slot] = name
    names.setdefault(name, layer.partition("#")[0])
    set_constant(model, name, np.ascontiguousarray(value, np.float32))
