"""One type for all arithmetic: a frozen graph's half and double floats become float32.

    Const half -> Cast(float) -> MatMul        =>  Const float -> Identity -> MatMul
    Placeholder uint8 -> Cast(float) -> Conv2D =>  Placeholder float -> Identity -> Conv2D

No format lowers convolutions in float16 or float64, and mixed precision keeps its
weights in float32 anyway. Pixels that come as bytes are whole numbers as floats
too, and a float input can be quantized. Runs in the workshop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

import numpy as np

__all__ = ["floats_in", "to_float32"]

_FLOAT: Final = 1
#: Source: tensorflow/core/framework/types.proto: DT_DOUBLE, DT_BFLOAT16, DT_HALF.
_OTHERS: Final = frozenset({2, 14, 19})
#: DT_INT32, DT_UINT8, DT_INT16, DT_INT8, DT_INT64, DT_UINT16.
_WHOLE: Final = frozenset({3, 4, 5, 6, 9, 17})


def to_float32(graph_def: Any) -> bool:
    """Have a graph compute in float32 where it computes in another float; in place.

    Returns:
        Whether anything was changed.
    """
    changed = False
    for node in _nodes(graph_def):
        retyped = [_retype(value) for value in node.attr.values()]
        if any(retyped):
            changed = True
            _drop_cast(node)
    for function in graph_def.library.function:
        signature = function.signature
        for arg in (*signature.input_arg, *signature.output_arg):
            if arg.type in _OTHERS:
                arg.type = _FLOAT
    return changed


def floats_in(graph_def: Any, names: Collection[str]) -> list[str]:
    """Let whole-number inputs that are only ever read as floats be floats; in place.

    Args:
        graph_def: Frozen graph.
        names: Its placeholders.

    Returns:
        Which of them were changed; an embedding's indices are not.
    """
    readers: dict[str, list[Any]] = {name: [] for name in names}
    for node in graph_def.node:
        for wire in node.input:
            readers.get(wire.removesuffix(":0"), []).append(node)
    changed = []
    for node in graph_def.node:
        uses = readers.get(node.name, [])
        if uses and node.attr["dtype"].type in _WHOLE and all(map(_casts_to_float, uses)):
            node.attr["dtype"].type = _FLOAT
            for use in uses:
                use.attr["SrcT"].type = _FLOAT
                _drop_cast(use)
            changed.append(node.name)
    return changed


def _casts_to_float(node: Any) -> bool:
    return node.op == "Cast" and bool(node.attr["DstT"].type == _FLOAT)


def _nodes(graph_def: Any) -> Iterator[Any]:
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def _retype(value: Any) -> bool:
    """Change one attribute; whether there was anything to change."""
    kind = value.WhichOneof("value")
    if kind == "type" and value.type in _OTHERS:
        value.type = _FLOAT
        return True
    if kind == "list" and _OTHERS.intersection(value.list.type):
        value.list.type[:] = [_FLOAT if t in _OTHERS else t for t in value.list.type]
        return True
    if kind == "tensor" and value.tensor.dtype in _OTHERS:
        import tensorflow as tf

        array = tf.make_ndarray(value.tensor).astype(np.float32)
        value.tensor.CopyFrom(tf.make_tensor_proto(array))
        return True
    return False


def _drop_cast(node: Any) -> None:
    if node.op != "Cast" or not node.attr["SrcT"].type == node.attr["DstT"].type == _FLOAT:
        return
    for key in ("SrcT", "DstT", "Truncate"):
        node.attr.pop(key, None)
    node.op = "Identity"
    node.attr["T"].type = _FLOAT
