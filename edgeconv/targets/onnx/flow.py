"""Which factors on channels pass through the nodes of a float ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Optional

from edgeconv.targets.flow import Flow, Rule, Shape, changed_axes
from edgeconv.targets.onnx.graph import Step, steps
from edgeconv.targets.onnx.kernels import attribute
from edgeconv.targets.onnx.model import (
    Model,
    Node,
    Tensor,
    array_of,
    constants,
    element_types,
    infer_shapes,
    read,
)
from edgeconv.types import FloatGraph

__all__ = ["flows"]

#: A rule and its axes; None where no factor passes.
_Found = Optional[tuple[Rule, tuple[int, ...]]]

#: ONNX's number for float32.
_FLOAT: Final = 1


class _Known(NamedTuple):
    """What the file says of its tensors."""

    held: Mapping[str, Tensor]
    types: Mapping[str, int]
    shapes: Mapping[str, Shape]


class _Operator(NamedTuple):
    """A node with what its rule depends on."""

    node: Node
    held: Mapping[str, Tensor]
    shapes: tuple[Shape, ...]  # of the activations that it reads
    shape: Shape  # of its output

    def constant(self, slot: int) -> list[float] | None:
        """The values of the constant at ``slot``, or None where it is none."""
        name = self.node.input[slot] if slot < len(self.node.input) else ""
        return array_of(self.held[name]).ravel().tolist() if name in self.held else None

    def attribute(self, name: str) -> Any:
        """An attribute's value, or None where it has its default."""
        from onnx import helper

        found = (helper.get_attribute_value(a) for a in self.node.attribute if a.name == name)
        return next(found, None)


def flows(graph: FloatGraph) -> list[Flow]:
    """One a node, in execution order."""
    model = infer_shapes(read(graph.path))
    known = _Known(constants(model), element_types(model), _shapes(model))
    return [_flow(step, known) for step in steps(model, graph.tensor_layers)]


def _shapes(model: Model) -> dict[str, Shape]:
    """Shapes with the free batch axis as 1, of the tensors that have no other free axis."""
    found = {}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        kind = value.type.tensor_type
        shape = [d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim]
        shape[:1] = [shape[0] or 1] if shape else []
        if kind.HasField("shape") and 0 not in shape:
            found[value.name] = tuple(shape)
    return found


def _flow(step: Step, known: _Known) -> Flow:
    node, name = step.node, step.layer.name
    inputs, outputs = step.layer.inputs, tuple(n for n in node.output if n)
    fixed = Flow("fixed", name, inputs, outputs)
    tensors = (*inputs, *outputs)
    whole = all(known.types.get(n) == _FLOAT and n in known.shapes for n in tensors)
    if len(outputs) != 1 or not inputs or not whole:
        return fixed
    shapes = tuple(known.shapes[n] for n in inputs)
    found = _RULES.get(node.op_type, _fixed)(
        _Operator(node, known.held, shapes, known.shapes[outputs[0]])
    )
    if found is None or (found[0] == "kernel" and not step.layer.weight):
        return fixed
    rule, axes = found
    weight = step.layer.weight if rule == "kernel" else ""
    return Flow(rule, name, inputs, outputs, shapes, known.shapes[outputs[0]], axes, 1, weight)


def _fixed(one: _Operator) -> _Found:
    return None


def _convolution(one: _Operator) -> _Found:
    transposed_groups = one.node.op_type == "ConvTranspose" and attribute(one.node, "group", 1) > 1
    return None if transposed_groups else _kernel(one)


def _kernel(one: _Operator) -> _Found:
    return ("kernel", ()) if len(one.shapes) == 1 else None


def _gemm(one: _Operator) -> _Found:
    plain = all(one.attribute(name) in (None, 1.0) for name in ("alpha", "beta"))
    return _kernel(one) if plain and not one.attribute("transA") else None


def _matmul(one: _Operator) -> _Found:
    # Channels are told along axis 1.
    return _kernel(one) if len(one.shape) == 2 else None


def _each(one: _Operator) -> _Found:
    return ("mix", ()) if len(one.shapes) == 1 else None


def _clip(one: _Operator) -> _Found:
    low, high = one.constant(1), one.constant(2)
    open_above = len(one.node.input) < 3 or not one.node.input[2] or high == [float("inf")]
    return ("mix", ()) if low == [0.0] and open_above else None


def _slide(one: _Operator) -> _Found:
    return "mix", tuple(range(2, len(one.shape)))


def _resize(one: _Operator) -> _Found:
    # Only a crop of its own has a value of its own outside the picture.
    crops = one.attribute("coordinate_transformation_mode") == b"tf_crop_and_resize"
    return None if crops or len(one.shapes) > 1 else _crop(one)


def _crop(one: _Operator) -> _Found:
    axes = changed_axes(one.shapes[0], one.shape) if len(one.shapes) == 1 else None
    return None if axes is None else ("mix", axes)


def _pad(one: _Operator) -> _Found:
    return _crop(one) if not any(one.constant(2) or ()) else None


def _slice(one: _Operator) -> _Found:
    strides = one.constant(4)
    return _crop(one) if strides is None or min(strides) > 0 else None


def _reduce(one: _Operator) -> _Found:
    axes = one.attribute("axes") or one.constant(1)
    if not axes or len(one.shapes) != 1:
        return None
    rank = len(one.shapes[0])
    return "mix", tuple(sorted(int(axis) % rank for axis in axes))


def _sum(one: _Operator) -> _Found:
    return ("sum", ()) if len(one.shapes) == len(one.node.input) else None


def _product(one: _Operator) -> _Found:
    if len(one.shapes) == 1:  # by a constant
        return ("mix", ()) if one.shapes[0] == one.shape else None
    return "product", ()


def _quotient(one: _Operator) -> _Found:
    return _product(one) if one.constant(1) is not None else None


def _concat(one: _Operator) -> _Found:
    if len(one.shapes) != len(one.node.input):
        return None
    return "concat", (int(one.attribute("axis")) % len(one.shape),)


def _permute(one: _Operator) -> _Found:
    order = one.attribute("perm")
    return None if order is None else ("permute", tuple(order))


def _reshape(one: _Operator) -> _Found:
    return "reshape", ()


_RULES: Final[Mapping[str, Callable[[_Operator], _Found]]] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Relu": _each,
    "LeakyRelu": _each,
    "PRelu": _each,
    "Abs": _each,
    "Neg": _each,
    "Identity": _each,
    "Clip": _clip,
    "MaxPool": _slide,
    "AveragePool": _slide,
    "GlobalMaxPool": _slide,
    "GlobalAveragePool": _slide,
    "Resize": _resize,
    "Pad": _pad,
    "Slice": _slice,
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
    "ReduceMax": _reduce,
    "ReduceMin": _reduce,
    "Add": _sum,
    "Sub": _sum,
    "Sum": _sum,
    "Max": _sum,
    "Min": _sum,
    "Mul": _product,
    "Div": _quotient,
    "Concat": _concat,
    "Transpose": _permute,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Flatten": _reshape,
}
