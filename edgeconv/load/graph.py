"""From a traced TensorFlow function to a frozen graph with names that users know.

Runs in the workshop. One trace serves all: the live function gives the
reference answers, and its frozen form is what the formats are lowered from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.errors import RefusedInput
from edgeconv.types import Activation

__all__ = [
    "apart",
    "freeze",
    "guess_scopes",
    "imported",
    "name_scopes",
    "refuse_non_finite",
    "rename_scopes",
    "split_head",
    "write_graph",
]

_HEADS: Mapping[str, Activation] = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


def split_head(output: Any) -> tuple[Any, Activation]:
    """Find the tensor before the final softmax or sigmoid.

    int8 softmax has the fixed scale 1/256, which flattens 1,000 classes, so
    classifiers are converted up to their logits and the runtime applies the head.

    Args:
        output: Symbolic output tensor.

    Returns:
        The tensor to end at, and the activation that was taken off
        (``linear`` where there is none; then the tensor is ``output``).
    """
    tensor = output
    while tensor.op.type in ("Identity", "IdentityN"):
        tensor = tensor.op.inputs[tensor.value_index]
    head = _HEADS.get(tensor.op.type)
    if head is None:
        return output, "linear"
    return tensor.op.inputs[0], head


def apart(graph_def: Any, outputs: Sequence[Any]) -> list[str]:
    """Give every output a node of its own, for formats name outputs after these.

    Args:
        graph_def: Frozen; gets an Identity where one operator has several outputs.
        outputs: Tensors that bear the names of its outputs.

    Returns:
        The node of each output.
    """
    ends: list[str] = []
    for index, tensor in enumerate(outputs):
        name = tensor.op.name
        if tensor.value_index > 0 or name in ends:
            node = graph_def.node.add(name=f"{name}/output_{index}", op="Identity")
            node.input.append(f"{name}:{tensor.value_index}")
            node.attr["T"].type = _float32(tensor.dtype.as_datatype_enum)
            name = node.name
        ends.append(name)
    return ends


def _float32(dtype: int) -> int:
    """What a type has become in a graph that computes in float32 alone."""
    return 1 if dtype in (2, 14, 19) else dtype


def name_scopes(model: Any, trace: Callable[[], Any]) -> tuple[Any, dict[str, str]]:
    """Run ``trace`` and learn which graph name scope belongs to which layer.

    Keras opens a scope per call, made unique by TensorFlow (``conv_1_2`` may be
    the layer ``conv`` or ``conv_1``), so only watching the calls tells.

    Args:
        model: Keras model or layer.
        trace: Traces ``model`` into a graph.

    Returns:
        What ``trace`` returned, and graph scope -> layer path (``inner/conv``).
    """
    import tensorflow as tf

    scopes: dict[str, str] = {}
    calls: dict[str, int] = {}
    wrapped = []

    def watch(layer: Any, path: str) -> None:
        original = layer.call

        def call(*args: Any, **kwargs: Any) -> Any:
            scope = tf.get_current_name_scope()
            if scope and scope not in scopes:
                calls[path] = calls.get(path, 0) + 1
                # A layer that is shared is called more than once.
                scopes[scope] = path if calls[path] == 1 else f"{path}/call{calls[path]}"
            return original(*args, **kwargs)

        object.__setattr__(layer, "call", call)
        wrapped.append(layer)

    for layer, path in _walk(model, ""):
        watch(layer, path)
    try:
        return trace(), scopes
    finally:
        for layer in wrapped:
            object.__delattr__(layer, "call")


def _walk(layer: Any, prefix: str) -> Iterable[tuple[Any, str]]:
    seen: set[int] = set()
    for child in layer._flatten_layers(include_self=False, recursive=False):
        if id(child) in seen:
            continue
        seen.add(id(child))
        path = f"{prefix}{child.name}"
        yield child, path
        yield from _walk(child, f"{path}/")


def guess_scopes(graph_def: Any) -> dict[str, str]:
    """Graph scope -> layer name where there is no Keras model to ask.

    A SavedModel's nodes are called ``StatefulPartitionedCall/model/layer/Conv2D``;
    what is left without the calls and the model's name is taken for the layer.
    """
    scopes: dict[str, str] = {}
    for node in graph_def.node:
        scope, _, _ = node.name.rpartition("/")
        parts = [p for p in scope.split("/") if not p.startswith(("StatefulPart", "Partitioned"))]
        if node.op in _COMPUTE and parts:
            scopes[scope] = "/".join(parts[1:] or parts)
    return scopes


_COMPUTE = ("Conv2D", "DepthwiseConv2dNative", "MatMul", "BiasAdd", "Relu", "AddV2", "Mean")


def freeze(function: Any) -> Any:
    """A concrete function's GraphDef with its variables as constants.

    ``convert_variables_to_constants_v2`` makes a function of it once more, whose graph
    holds the weights several times over (ConvNeXtTiny, 114 MB: 1.3 GB). That also put
    the nodes in order, which TensorFlow's inlining leaves in any.
    """
    from tensorflow.python.framework import convert_to_constants as constants

    data = constants._FunctionConverterDataInEager(
        func=function, lower_control_flow=True, aggressive_inlining=False
    )
    graph_def, _ = constants._replace_variables_by_constants(converter_data=data)
    _sort_nodes(graph_def, [op.name for op in function.graph.get_operations()])
    return graph_def


def _sort_nodes(graph_def: Any, traced: Sequence[str]) -> None:
    """Put every node behind what it reads, and else in the order of the trace; in place."""
    reads = {
        node.name: [wire.removeprefix("^").partition(":")[0] for wire in node.input]
        for node in graph_def.node
    }
    roots = [name for name in traced if name in reads]
    # What was inlined has no place of its own: it comes right before what reads it.
    roots += sorted(reads.keys() - set(roots))
    place: dict[str, int] = {}
    opened: set[str] = set()
    for root in roots:
        stack = [root]
        while stack:
            name = stack[-1]
            waiting = [] if name in opened else [n for n in reads[name] if n not in opened]
            opened.add(name)  # a loop's nodes read each other: none is waited for twice
            if waiting:
                stack.extend(reversed(waiting))
            else:
                place.setdefault(stack.pop(), len(place))
    graph_def.node.sort(key=lambda node: place[node.name])


def imported(graph_def: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """A frozen graph as a function again.

    Args:
        graph_def: Whose constants may have changed their types since.
        inputs: Tensors that bear the names of its inputs.
        outputs: Likewise.
    """
    import tensorflow as tf

    names = {t.op.name for t in inputs}
    # Reading an attribute of a node that has none would give it an empty one.
    types = {n.name: n.attr["dtype"].type for n in graph_def.node if n.name in names}
    specs = [tf.TensorSpec(t.shape, tf.dtypes.as_dtype(types[t.op.name])) for t in inputs]
    # Its own placeholders would come along, and nothing feeds them.
    inner = type(graph_def)(versions=graph_def.versions, library=graph_def.library)
    inner.node.extend(node for node in graph_def.node if node.name not in names)

    def call(*tensors: Any) -> Any:
        feeds = dict(zip([t.name for t in inputs], tensors, strict=True))
        return tf.graph_util.import_graph_def(inner, feeds, [t.name for t in outputs], name="")

    return tf.compat.v1.wrap_function(call, specs)


def rename_scopes(
    graph_def: Any, scopes: Mapping[str, str], exact: Mapping[str, str]
) -> Mapping[str, str]:
    """Rename a GraphDef's nodes in place so that paths begin with layer paths.

    Args:
        graph_def: Frozen graph.
        scopes: Graph scope -> layer path.
        exact: Node name -> new name, for inputs and outputs.

    Returns:
        Old node name -> new node name.
    """
    taken = set(exact.values())
    renamed: dict[str, str] = dict(exact)
    for node in graph_def.node:
        if node.name in exact:
            continue
        name = _rename(node.name, scopes)
        while name in taken:
            name += "_"
        taken.add(name)
        renamed[node.name] = name
    for node in graph_def.node:
        node.name = renamed[node.name]
        for i, wire in enumerate(node.input):
            control = "^" if wire.startswith("^") else ""
            base, colon, port = wire.removeprefix("^").partition(":")
            node.input[i] = f"{control}{renamed[base]}{colon}{port}"
    return renamed


def _rename(name: str, scopes: Mapping[str, str]) -> str:
    parts = name.split("/")
    for end in range(len(parts) - 1, 0, -1):
        layer = scopes.get("/".join(parts[:end]))
        if layer is not None:
            return "/".join([layer, *parts[end:]])
    return name


def refuse_non_finite(graph_def: Any) -> None:
    """Refuse a graph that holds NaN or infinite weights.

    Raises:
        RefusedInput: Names the first such constant.
    """
    import tensorflow as tf

    for node in graph_def.node:
        if node.op != "Const" or node.attr["dtype"].type not in (1, 2, 14, 19):
            continue
        value = tf.make_ndarray(node.attr["value"].tensor).astype(np.float32)
        # Keras masks attention with infinities; a kernel has more than one element.
        if value.size > 1 and not np.isfinite(value).all():
            layer = node.name.partition("/ReadVariableOp")[0].rpartition("/")[0] or node.name
            raise RefusedInput(
                f"The weights of the layer {layer!r} hold NaN or infinity.",
                "Train the model again or load an earlier checkpoint.",
            )


def write_graph(graph_def: Any, path: Path) -> str:
    """Write ``graph_def`` with a stable byte order and return its SHA-256."""
    content = graph_def.SerializeToString(deterministic=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
