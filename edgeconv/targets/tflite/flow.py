"""Which factors on channels pass through the operators of a float TFLite file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Optional

from edgeconv.targets.flow import Flow, Rule, Shape, changed_axes
from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.graph import layers
from edgeconv.types import FloatGraph, Layer

__all__ = ["flows"]

#: A rule and its axes; None where no factor passes.
_Found = Optional[tuple[Rule, tuple[int, ...]]]

#: schema.fbs, ActivationFunctionType: NONE and RELU let positive factors through.
_HOMOGENEOUS: Final = (0, 1)
#: schema.fbs: a shape's axes are [N, H, W, C].
_SPATIAL: Final = (1, 2)


class _Operator(NamedTuple):
    """An operator with what its rule depends on."""

    model: fb.ModelT
    operator: Any
    shapes: tuple[Shape, ...]  # of the activations that it reads
    shape: Shape  # of its output

    def option(self, name: str) -> int:
        return int(getattr(self.operator.builtinOptions, name, 0))

    def constant(self, slot: int) -> list[float] | None:
        """The values of the constant at ``slot``, or None where it is none."""
        if slot >= len(self.operator.inputs) or self.operator.inputs[slot] < 0:
            return None
        tensor = self.model.subgraphs[0].tensors[self.operator.inputs[slot]]
        known = fb.is_constant(self.model, tensor)
        return fb.array_of(self.model, tensor).ravel().tolist() if known else None


def flows(graph: FloatGraph) -> list[Flow]:
    """One an operator, in execution order."""
    model = fb.read(graph.path)
    pairs = zip(layers(graph), model.subgraphs[0].operators, strict=True)
    return [_flow(model, layer, operator) for layer, operator in pairs]


def _flow(model: fb.ModelT, layer: Layer, operator: Any) -> Flow:
    tensors = model.subgraphs[0].tensors
    written = [tensors[i] for i in operator.outputs]
    read = [tensors[i] for i in operator.inputs if i >= 0]
    read = [tensor for tensor in read if not fb.is_constant(model, tensor)]
    inputs, outputs = tuple(map(fb.name_of, read)), tuple(map(fb.name_of, written))
    fixed = Flow("fixed", layer.name, inputs, outputs)
    if len(written) != 1 or any(fb.dtype_of(t) != "float32" for t in (*read, *written)):
        return fixed
    one = _Operator(model, operator, tuple(map(_shape, read)), _shape(written[0]))
    found = _RULES.get(layer.op, _fixed)(one)
    clamped = one.option("fusedActivationFunction") not in _HOMOGENEOUS
    if found is None or (clamped and found[0] != "kernel"):
        return fixed
    rule, axes = found
    weight = layer.weight if rule == "kernel" else ""
    if rule == "kernel" and not weight:
        return fixed
    return Flow(rule, layer.name, inputs, outputs, one.shapes, one.shape, axes, -1, weight, clamped)


def _shape(tensor: Any) -> Shape:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def _fixed(one: _Operator) -> _Found:
    return None


def _kernel(one: _Operator) -> _Found:
    return ("kernel", ()) if len(one.shapes) == 1 else None


def _each(one: _Operator) -> _Found:
    return ("mix", ()) if len(one.shapes) == 1 else None


def _slide(one: _Operator) -> _Found:
    return "mix", _SPATIAL


def _crop(one: _Operator) -> _Found:
    axes = changed_axes(one.shapes[0], one.shape) if len(one.shapes) == 1 else None
    return None if axes is None else ("mix", axes)


def _pad(one: _Operator) -> _Found:
    return _crop(one) if not any(one.constant(2) or ()) else None


def _strided(one: _Operator) -> _Found:
    steps = one.constant(3)
    return _crop(one) if steps and min(steps) > 0 else None


def _reduce(one: _Operator) -> _Found:
    axes, rank = one.constant(1), len(one.shapes[0])
    return None if axes is None else ("mix", tuple(sorted(int(a) % rank for a in axes)))


def _sum(one: _Operator) -> _Found:
    return ("sum", ()) if len(one.shapes) == len(one.operator.inputs) else None


def _product(one: _Operator) -> _Found:
    if len(one.shapes) == 1:  # by a constant
        return ("mix", ()) if one.shapes[0] == one.shape else None
    return "product", ()


def _quotient(one: _Operator) -> _Found:
    return _product(one) if one.constant(1) is not None else None


def _concat(one: _Operator) -> _Found:
    if len(one.shapes) != len(one.operator.inputs):
        return None
    return "concat", (one.option("axis") % len(one.shape),)


def _permute(one: _Operator) -> _Found:
    order = one.constant(1)
    return None if order is None else ("permute", tuple(map(int, order)))


def _reshape(one: _Operator) -> _Found:
    return "reshape", ()


_RULES: Final[Mapping[str, Callable[[_Operator], _Found]]] = {
    "CONV_2D": _kernel,
    "DEPTHWISE_CONV_2D": _kernel,
    "FULLY_CONNECTED": _kernel,
    "TRANSPOSE_CONV": _kernel,
    "CONV_3D": _kernel,
    "RELU": _each,
    "LEAKY_RELU": _each,
    "PRELU": _each,
    "ABS": _each,
    "NEG": _each,
    "MAX_POOL_2D": _slide,
    "AVERAGE_POOL_2D": _slide,
    "RESIZE_BILINEAR": _slide,
    "RESIZE_NEAREST_NEIGHBOR": _slide,
    "PAD": _crop,
    "PADV2": _pad,
    "MIRROR_PAD": _crop,
    "SLICE": _crop,
    "STRIDED_SLICE": _strided,
    "MEAN": _reduce,
    "SUM": _reduce,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    "ADD": _sum,
    "SUB": _sum,
    "ADD_N": _sum,
    "MAXIMUM": _sum,
    "MINIMUM": _sum,
    "MUL": _product,
    "DIV": _quotient,
    "CONCATENATION": _concat,
    "TRANSPOSE": _permute,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
}
