"""A float TFLite file under Keras names: its layers, its weights, new weights in it.

    operator            TFLite kernel        Keras kernel
    CONV_2D             [O, H, W, I]         [H, W, I, O]
    DEPTHWISE_CONV_2D   [1, H, W, C * M]     [H, W, C, M]
    FULLY_CONNECTED     [O, I]               [I, O]
    TRANSPOSE_CONV      [O, H, W, I]         [H, W, I, O]
    CONV_3D             [D, H, W, I, O]      [D, H, W, I, O]

In each Keras kernel the output channels come last (C * M for depthwise), so
``kernel.reshape(-1, channels)`` has one column a channel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from edgeconv.errors import InternalError
from edgeconv.targets.anatomy import Anatomy, of_layers
from edgeconv.targets.names import layer_of, number_repeats
from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.window import window_of
from edgeconv.types import Array, FloatGraph, Layer, Weights, Window

__all__ = ["assign_layers", "layers", "patch", "to_keras", "weights", "weights_in"]


class _Kernel(NamedTuple):
    """Where an operator has its constants, and how its kernel lies."""

    weight: int
    bias: int
    to_keras: Callable[[Array, int], Array]
    to_tflite: Callable[[Array], Array]


def _ohwi_to_hwio(kernel: Array, inputs: int) -> Array:
    return kernel.transpose(1, 2, 3, 0)


def _hwio_to_ohwi(kernel: Array) -> Array:
    return kernel.transpose(3, 0, 1, 2)


def _depthwise_to_keras(kernel: Array, inputs: int) -> Array:
    _, height, width, channels = kernel.shape
    return kernel.reshape(height, width, inputs, channels // inputs)


def _depthwise_to_tflite(kernel: Array) -> Array:
    height, width, inputs, multiplier = kernel.shape
    return kernel.reshape(1, height, width, inputs * multiplier)


_KERNELS: Final[Mapping[str, _Kernel]] = {
    "CONV_2D": _Kernel(1, 2, _ohwi_to_hwio, _hwio_to_ohwi),
    "DEPTHWISE_CONV_2D": _Kernel(1, 2, _depthwise_to_keras, _depthwise_to_tflite),
    "FULLY_CONNECTED": _Kernel(1, 2, lambda kernel, inputs: kernel.T, lambda kernel: kernel.T),
    "TRANSPOSE_CONV": _Kernel(1, 3, _ohwi_to_hwio, _hwio_to_ohwi),
    "CONV_3D": _Kernel(1, 2, lambda kernel, inputs: kernel, lambda kernel: kernel),
}


@dataclass(frozen=True)
class _Step:
    """An operator of the file, with the schema's objects behind it."""

    layer: Layer
    operator: Any


def layers(graph: FloatGraph) -> list[Layer]:
    """The operators in execution order, under their Keras names.

    Operators with a kernel get unique names (``sep``, ``sep#2``); others bear
    their layer's name, which may repeat.
    """
    return [step.layer for step in _steps(fb.view(graph.path), graph.tensor_layers)]


def weights(graph: FloatGraph) -> Weights:
    """Kernels and biases in the Keras layout; TRANSPOSE_CONV's as [H, W, I, O]."""
    model = fb.view(graph.path)
    found: dict[str, tuple[Array, Array | None]] = {}
    for step in _steps(model, graph.tensor_layers):
        if step.layer.weight:
            form = _KERNELS[step.layer.op]
            bias = _input(model, step.operator, form.bias)
            found[step.layer.name] = (
                _keras_kernel(model, step, form),
                None if bias is None else fb.array_of(model, bias).copy(),
            )
    return found


def weights_in(graph: FloatGraph, file: Anatomy) -> Iterator[tuple[str, Array, Array | None]]:
    """See ``Target.weights_in``."""
    model = fb.view(graph.path)
    steps = _steps(model, graph.tensor_layers)
    found = {step.layer.name: step for step in steps if step.layer.weight}
    for layer, other in of_layers(file, (step.layer for step in found.values())):
        operator, kernel = found[layer.name].operator, file.kernel(other)
        own = _input(model, operator, _KERNELS[layer.op].weight)
        if kernel is not None and kernel.shape == tuple(own.shape):
            form = _to_keras(model, operator, layer.op, kernel)
            yield layer.name, form, file.bias(other)


def to_keras(kind: str, kernel: Array, inputs: int) -> Array | None:
    """A kernel in the Keras layout.

    Args:
        kind: The operator that reads it.
        kernel: As it lies in a file.
        inputs: Channels of the operator's input.

    Returns:
        None where operators of this kind have no kernel.
    """
    form = _KERNELS.get(kind)
    return None if form is None else np.ascontiguousarray(form.to_keras(kernel, inputs))


def patch(graph: FloatGraph, weights: Weights, path: Path) -> FloatGraph:
    """``graph`` with the constants of ``weights`` in it, written to ``path``.

    Raises:
        InternalError: A layer isn't in the graph, or a shape differs.
    """
    model = fb.read(graph.path)
    steps = {s.layer.name: s for s in _steps(model, graph.tensor_layers) if s.layer.weight}
    uses = Counter(int(i) for op in model.subgraphs[0].operators for i in op.inputs)
    names = dict(graph.tensor_layers)
    for layer, (kernel, bias) in weights.items():
        if layer not in steps:
            raise InternalError(f"There is no layer {layer!r} to patch.")
        operator, form = steps[layer].operator, _KERNELS[steps[layer].layer.op]
        changes = [(form.weight, form.to_tflite(kernel))]
        if bias is not None:
            changes.append((form.bias, bias))
        for slot, value in changes:
            if np.array_equal(fb.array_of(model, _input(model, operator, slot)), value):
                continue
            index = _own_tensor(model, operator, slot, uses)
            _set_constant(model, model.subgraphs[0].tensors[index], value, layer)
            names.setdefault(fb.name_of(model.subgraphs[0].tensors[index]), layer.split("#")[0])
    fb.write(model, path)
    return replace(graph, path=path, tensor_layers=names)


def assign_layers(model: fb.ModelT, names: Collection[str]) -> dict[str, str]:
    """Tensor name -> Keras layer name, for outputs and constants of every operator.

    Args:
        model: As the converter wrote it.
        names: Keras layer names; a set.
    """
    tensors = model.subgraphs[0].tensors
    found: dict[str, str] = {}
    for operator in model.subgraphs[0].operators:
        outputs = [fb.name_of(tensors[i]) for i in operator.outputs]
        constants = [
            fb.name_of(tensors[i])
            for i in operator.inputs
            if i >= 0 and fb.is_constant(model, tensors[i])
        ]
        # A kernel that BatchNorm was folded into bears BatchNorm's name, so outputs lead.
        layer = layer_of(";".join(outputs), names) or layer_of(";".join(constants), names)
        if layer is not None:
            for name in (*outputs, *constants):
                found.setdefault(name, layer)
    return found


def _steps(model: fb.ModelT, tensor_layers: Mapping[str, str]) -> Iterator[_Step]:
    """The operators, those with a constant float kernel under unique names."""
    found = list(_plain_steps(model, tensor_layers))
    weighted = iter(number_repeats([s.layer.name for s in found if s.layer.weight]))
    for step in found:
        if step.layer.weight:
            step = replace(step, layer=replace(step.layer, name=next(weighted)))
        yield step


def _plain_steps(model: fb.ModelT, tensor_layers: Mapping[str, str]) -> Iterator[_Step]:
    types = fb.operator_names(model)
    tensors = model.subgraphs[0].tensors
    for operator in model.subgraphs[0].operators:
        kind = types[operator.opcodeIndex]
        output = fb.name_of(tensors[operator.outputs[0]]) if len(operator.outputs) else ""
        form = _KERNELS.get(kind)
        weight = None if form is None else _input(model, operator, form.weight)
        bias = None if form is None or weight is None else _input(model, operator, form.bias)
        yield _Step(
            Layer(
                name=tensor_layers.get(output, output),
                op=kind,
                output=output,
                weight="" if weight is None else fb.name_of(weight),
                bias="" if bias is None else fb.name_of(bias),
                inputs=_activations(model, operator),
                window=None if weight is None else _window(tensors, operator, kind, weight),
            ),
            operator,
        )


def _window(tensors: Any, operator: Any, kind: str, weight: Any) -> Window | None:
    channels = int(tensors[operator.inputs[0]].shape[-1])
    return window_of(kind, operator.builtinOptions, channels, tuple(weight.shape))


def _activations(model: fb.ModelT, operator: Any) -> tuple[str, ...]:
    tensors = model.subgraphs[0].tensors
    read = [tensors[i] for i in operator.inputs if i >= 0]
    return tuple(fb.name_of(t) for t in read if not fb.is_constant(model, t))


def _input(model: fb.ModelT, operator: Any, slot: int) -> Any:
    """The constant float32 tensor at ``slot``, or None."""
    if slot >= len(operator.inputs) or operator.inputs[slot] < 0:
        return None
    tensor = model.subgraphs[0].tensors[operator.inputs[slot]]
    if not fb.is_constant(model, tensor) or fb.dtype_of(tensor) != "float32":
        return None
    return tensor


def _keras_kernel(model: fb.ModelT, step: _Step, form: _Kernel) -> Array:
    kernel = fb.array_of(model, _input(model, step.operator, form.weight))
    return _to_keras(model, step.operator, step.layer.op, kernel)


def _to_keras(model: fb.ModelT, operator: Any, kind: str, kernel: Array) -> Array:
    source = model.subgraphs[0].tensors[operator.inputs[0]]
    return np.ascontiguousarray(_KERNELS[kind].to_keras(kernel, int(source.shape[-1])))


def _own_tensor(model: fb.ModelT, operator: Any, slot: int, uses: Counter[int]) -> int:
    """Index of the constant at ``slot``, which no other operator reads any more."""
    tensors = model.subgraphs[0].tensors
    index = int(operator.inputs[slot])
    if uses[index] == 1:
        return index
    uses[index] -= 1
    clone = type(tensors[index])(**vars(tensors[index]))
    clone.name = fb.unused_name(model, fb.name_of(tensors[index])).encode()
    tensors.append(clone)
    operator.inputs[slot] = len(tensors) - 1
    uses[len(tensors) - 1] = 1
    return len(tensors) - 1


def _set_constant(model: fb.ModelT, tensor: Any, value: Array, layer: str) -> None:
    """Give ``tensor`` the data ``value``, leaving tensors that share its buffer alone."""
    if tuple(tensor.shape) != value.shape:
        raise InternalError(f"{layer!r} holds {tuple(tensor.shape)}, not {value.shape}.")
    data = np.frombuffer(np.ascontiguousarray(value, np.float32).tobytes(), np.uint8)
    sharers = sum(t.buffer == tensor.buffer for g in model.subgraphs for t in g.tensors)
    if sharers > 1:
        model.buffers.append(type(model.buffers[0])())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = data
