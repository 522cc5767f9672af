"""Footprint: a frozen graph's operators by layer, its weights and the memory it works in.

Runs in the workshop, on the graph that the formats are lowered from.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from edgeconv.targets.names import layer_of

__all__ = ["count_weights", "list_operators", "peak_activations", "sum_activations"]

_FLOAT: Final = 1
_TYPES: Final = ("T", "Tparams", "dtype")
_SILENT: Final = frozenset({"Const", "Identity", "IdentityN", "NoOp", "Placeholder"})
#: Operators whose output may not lie over their input. Kernels do so for the rest,
#: or a converter fuses them into the operator before.
_APART: Final = frozenset({
    "AvgPool", "AvgPool3D", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Conv2D",
    "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2", "DepthwiseConv2dNative", "Einsum",
    "MatMul", "MaxPool", "MaxPool3D", "MirrorPad", "Pad", "PadV2", "PartitionedCall", "ReverseV2",
    "StatefulPartitionedCall", "Transpose",
})  # fmt: skip


def list_operators(graph_def: Any, layers: Collection[str]) -> list[tuple[str, str]]:
    """(layer, TensorFlow operator) of what computes in float, in order, each pair once.

    Args:
        graph_def: Frozen, its nodes named after layers.
        layers: Layer paths.
    """
    known = frozenset(layers)
    found: dict[tuple[str, str], None] = {}
    for node in graph_def.node:
        floats = any(node.attr[key].type == _FLOAT for key in _TYPES if key in node.attr)
        if floats and node.op not in _SILENT:
            found.setdefault((layer_of(node.name, known) or node.name, node.op))
    return list(found)


def count_weights(graph_def: Any) -> int:
    """How many float constants the graph holds."""
    total = 0
    for node in graph_def.node:
        if node.op == "Const" and node.attr["dtype"].type == _FLOAT:
            elements = 1
            for axis in node.attr["value"].tensor.tensor_shape.dim:
                elements *= axis.size
            total += elements
    return total


def peak_activations(graph: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """The most activation elements that are alive at once, for one item.

    Operators run in the graph's order and free an input after its last use; an
    operator that works element by element, with one input of its output's size,
    writes over it.

    Args:
        graph: TensorFlow graph, its operators in topological order.
        inputs: Its input tensors.
        outputs: Its output tensors.

    Returns:
        An estimate: kernels may need scratch beside it, and fusing saves some.
    """
    sizes = {tensor.ref(): _elements(tensor) for tensor in inputs}
    home = {ref: ref for ref in sizes}  # tensor -> the tensor whose buffer it lies in
    last: dict[Any, int] = {}
    steps = []
    for at, op in enumerate(graph.get_operations()):
        read = [tensor.ref() for tensor in op.inputs if tensor.ref() in home]
        if not read:
            continue
        for tensor in op.outputs:
            ref = tensor.ref()
            sizes[ref] = _elements(tensor)
            home[ref] = _home(op.type, ref, read, sizes, home)
        for ref in read:
            last[home[ref]] = at
        steps.append((at, {home[t.ref()] for t in op.outputs}, {home[ref] for ref in read}))
    last.update((home[t.ref()], len(graph.get_operations())) for t in outputs if t.ref() in home)
    return _peak(steps, {home[tensor.ref()] for tensor in inputs}, sizes, last)


def sum_activations(graph: Any) -> int:
    """How many elements operators write for one item, all together; at least 1.

    Args:
        graph: TensorFlow graph with a free batch axis.
    """
    total = 0
    for op in graph.get_operations():
        for tensor in () if op.type in _SILENT else op.outputs:
            if tensor.shape.rank and tensor.shape[0] is None:
                total += _elements(tensor)
    return max(1, total)


def _home(kind: str, ref: Any, read: Sequence[Any], sizes: Any, home: Any) -> Any:
    over = len(read) == 1 and kind not in _APART and sizes[read[0]] == sizes[ref]
    return home[read[0]] if over else ref


def _peak(steps: Sequence[Any], alive: set[Any], sizes: Any, last: Any) -> int:
    most = 0
    for at, written, read in steps:
        alive |= written
        most = max(most, sum(sizes[ref] for ref in alive))
        alive -= {ref for ref in read | written if last.get(ref, -1) <= at}
    return most


def _elements(tensor: Any) -> int:
    if tensor.shape.rank is None:
        return 0
    elements = 1
    for axis in tensor.shape.as_list():
        elements *= axis or 1
    return elements
