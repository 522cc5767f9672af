"""Reading and changing an ONNX model: what passes and quantizers share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.targets.onnx import outside
from edgeconv.types import Array, TensorSpec

__all__ = [
    "Model",
    "Node",
    "Tensor",
    "array_of",
    "constants",
    "copy",
    "drop_unread",
    "drop_unused_constants",
    "dtype_name",
    "element_types",
    "fresh_name",
    "infer_shapes",
    "parse",
    "read",
    "replace_constants",
    "replace_nodes",
    "set_constant",
    "shell",
    "sort_constants",
    "sort_nodes",
    "specs",
    "to_bytes",
    "uses",
    "weight_bytes",
    "write",
]

#: Objects of the ``onnx`` package, which is imported only inside functions.
Model: TypeAlias = Any
Node: TypeAlias = Any
Tensor: TypeAlias = Any

#: Constants that shapes are computed from are small.
_MOST_ELEMENTS_OF_A_SHAPE: Final = 64

_DTYPES: Final = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
}


def read(path: Path) -> Model:
    """Parse a file that edgeconv wrote itself, with the weights beside it."""
    model = parse(path.read_bytes())
    outside.move_in(model.graph.initializer, path)
    return model


def parse(content: bytes) -> Model:
    """Parse bytes that edgeconv made itself."""
    import onnx

    return onnx.ModelProto.FromString(content)


def to_bytes(model: Model) -> bytes:
    """The same model gives the same bytes.

    Raises:
        Unsupported: It is too large for one file.
    """
    if weight_bytes(model) > outside.LARGEST_BYTES:
        raise Unsupported(
            "A part of the ONNX model has more than 2 GiB, which one file can't hold.",
            "Export with --format tflite, or take a smaller model.",
        )
    return bytes(model.SerializeToString(deterministic=True))


def weight_bytes(model: Model) -> int:
    """Of all initializers."""
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def write(model: Model, path: Path) -> bytes:
    """Write aside, then rename, so that no half file is ever at ``path``.

    Weights beyond 2 GiB go into a file beside it, and out of ``model``.

    Returns:
        What was written to ``path``.
    """
    outside.data_file(path).unlink(missing_ok=True)
    if weight_bytes(model) > outside.LARGEST_BYTES:
        outside.move_out(model.graph.initializer, path)
    content = to_bytes(model)
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(content)
    aside.replace(path)
    return content


def copy(model: Model) -> Model:
    """A model that can be changed without changing ``model``."""
    clone = type(model)()
    clone.CopyFrom(model)
    return clone


def shell(model: Model) -> Model:
    """A model without nodes, of the same operator sets."""
    made = type(model)()
    made.ir_version = model.ir_version
    made.opset_import.extend(model.opset_import)
    made.functions.extend(model.functions)
    made.graph.name = model.graph.name
    return made


def constants(model: Model) -> dict[str, Tensor]:
    """Initializers by name."""
    return {tensor.name: tensor for tensor in model.graph.initializer}


def array_of(tensor: Tensor) -> Array:
    """An initializer's values, as a copy."""
    from onnx import numpy_helper

    value: Array = numpy_helper.to_array(tensor).copy()
    return value


def set_constant(model: Model, name: str, value: Array) -> None:
    """Add the initializer ``name``, or replace its values."""
    from onnx import numpy_helper

    made = numpy_helper.from_array(value, name)
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(made)
            return
    model.graph.initializer.append(made)


def replace_constants(model: Model, tensors: Iterable[Tensor]) -> None:
    """Let ``tensors``, some of the initializers, be all of them, in this order."""
    order = {tensor.name: place for place, tensor in enumerate(tensors)}
    held = model.graph.initializer
    # In place, for copies would hold the weights twice.
    held.sort(key=lambda tensor: order.get(tensor.name, len(order)))
    del held[len(order) :]


def replace_nodes(model: Model, nodes: Iterable[Node]) -> None:
    """Let ``nodes`` be all the nodes, in this order."""
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def drop_unused_constants(model: Model) -> None:
    """Remove the initializers that nothing reads."""
    used = uses(model)
    replace_constants(model, [t for t in model.graph.initializer if used[t.name]])


def drop_unread(model: Model) -> None:
    """Remove what nothing reads any more, from the end on."""
    read = {value.name for value in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if any(name in read for name in node.output):
            read.update(node.input)
            kept.append(node)
    replace_nodes(model, reversed(kept))
    drop_unused_constants(model)


def uses(model: Model) -> Counter[str]:
    """Tensor name -> how often nodes read it; being a graph output counts as once."""
    found: Counter[str] = Counter(name for node in model.graph.node for name in node.input)
    found.update(output.name for output in model.graph.output)
    return found


def sort_nodes(model: Model) -> None:
    """Put every node behind what it reads, and as few places as possible from where it was."""
    writers = {name: node for node in model.graph.node for name in node.output}
    done: dict[int, Node] = {}
    for last in model.graph.node:
        stack = [last]
        while stack:
            node = stack[-1]
            waiting = [
                writers[name]
                for name in node.input
                if name in writers and id(writers[name]) not in done
            ]
            if waiting:
                stack.extend(reversed(waiting))
            else:
                done.setdefault(id(stack.pop()), node)
    replace_nodes(model, done.values())


def sort_constants(model: Model) -> None:
    """Put constants in the order in which nodes read them; what none reads goes."""
    held = constants(model)
    order = dict.fromkeys(n for node in model.graph.node for n in node.input if n in held)
    replace_constants(model, [held[name] for name in order])


def fresh_name(wanted: str, taken: set[str]) -> str:
    """``wanted``, or ``wanted_2`` and so on; it is taken from then on."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name)
    return name


def specs(model: Model) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs as the file has them."""
    graph = model.graph
    return tuple(map(_spec, graph.input)), tuple(map(_spec, graph.output))


def _spec(value: Any) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
    return TensorSpec(value.name, shape, dtype_name(kind.elem_type))


def dtype_name(element_type: int) -> str:
    """NumPy's name of an ONNX element type, such as ``float32``."""
    return _DTYPES.get(element_type, f"onnx-{element_type}")


def infer_shapes(model: Model) -> Model:
    """``model`` with the type and shape of every tensor written down anew, in place."""
    import onnx

    graph = model.graph
    del graph.value_info[:]
    light = shell(model)
    # onnx writes the model out and reads it in twice; values of weights tell no shape.
    light.graph.node.extend(graph.node)
    light.graph.input.extend(graph.input)
    light.graph.output.extend(graph.output)
    light.graph.initializer.extend(
        type(t)(name=t.name, data_type=t.data_type, dims=t.dims) if _is_weight(t) else t
        for t in graph.initializer
    )
    inferred = onnx.shape_inference.infer_shapes(light, strict_mode=False, data_prop=True).graph
    graph.value_info.extend(inferred.value_info)
    for value, found in zip(graph.output, inferred.output, strict=True):
        value.CopyFrom(found)
    return model


def _is_weight(tensor: Tensor) -> bool:
    return int(np.prod(tensor.dims)) > _MOST_ELEMENTS_OF_A_SHAPE


def element_types(model: Model) -> Mapping[str, int]:
    """Tensor name -> ONNX element type, where it is known."""
    graph = model.graph
    values = [*graph.input, *graph.output, *graph.value_info]
    return {value.name: value.type.tensor_type.elem_type for value in values}
