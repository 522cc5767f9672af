"""Take the kernels out of a frozen graph before tf2onnx rewrites it; runs in the workshop.

    Const W -> Identity -> Conv2D    ->    Placeholder W -> Identity -> Conv2D

tf2onnx copies weights in nearly every step (ConvNeXtTiny, 114 MB: 2.9 GB). What it
does to the layout of a placeholder stands in its graph as operators, which
``put_back`` computes.

The file is read node by node, since a parsed graph would hold all weights at once.
Source: https://protobuf.dev/programming-guides/encoding, and GraphDef in
tensorflow/core/framework/graph.proto.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from edgeconv.errors import InternalError

__all__ = ["Place", "take_out"]

#: Operators that read a kernel, and at which input.
_READERS: Final = {
    "BatchMatMul": 1,
    "BatchMatMulV2": 1,
    "BatchMatMulV3": 1,
    "Conv2D": 1,
    "Conv2DBackpropInput": 1,
    "Conv3D": 1,
    "DepthwiseConv2dNative": 1,
    "MatMul": 1,
}
_FLOAT: Final = 1
#: The field of GraphDef that holds a node; wire types of numbers and of bytes.
_NODE, _VARINT, _BYTES = 1, 0, 2


class Place(NamedTuple):
    """Where a kernel's values (little-endian float32) lie in the frozen graph's file.

    Attributes:
        name: Of its node.
        offset: Of its first byte.
        shape: As TensorFlow has it.
    """

    name: str
    offset: int
    shape: tuple[int, ...]


def take_out(path: Path, outputs: Collection[str]) -> tuple[Any, list[Place]]:
    """Read a frozen graph without its kernels.

    Args:
        path: A GraphDef that edgeconv wrote.
        outputs: Names of the nodes that are the graph's outputs.

    Returns:
        The GraphDef, with a placeholder for every constant that is a kernel and nothing
        else; and where those constants lie in the file.
    """
    import tensorflow as tf

    graph_def, places = tf.compat.v1.GraphDef(), []
    kernels = _kernels(path) - set(outputs)
    with path.open("rb") as file:
        for field, start, record in _records(file):
            if field != _NODE:
                graph_def.MergeFromString(record)
                continue
            node = _parse(record)
            if node.name in kernels:
                places.append(_place(node, start, record))
                node = _placeholder(node)
            graph_def.node.append(node)
    return graph_def, places


def _kernels(path: Path) -> set[str]:
    """Names of float constants that only operators of ``_READERS`` read, as their kernels."""
    found: set[str] = set()
    readers: dict[str, list[tuple[str, str, int]]] = {}
    with path.open("rb") as file:
        for field, _, record in _records(file):
            if field != _NODE:
                continue
            node = _parse(record)
            tensor = node.attr["value"].tensor if node.op == "Const" else None
            if tensor and tensor.dtype == _FLOAT and len(tensor.tensor_shape.dim) > 1:
                # One value for all elements stands elsewhere.
                found |= {node.name} if tensor.tensor_content else set()
            for slot, wire in enumerate(node.input):
                name = wire.removeprefix("^").partition(":")[0]
                readers.setdefault(name, []).append((node.op, node.name, slot))

    def is_kernel(name: str) -> bool:
        return all(
            is_kernel(reader) if op == "Identity" else _READERS.get(op) == slot
            for op, reader, slot in readers.get(name, [("", "", 0)])
        )

    return {name for name in found if is_kernel(name)}


def _parse(record: bytes) -> Any:
    """A node by itself, which gives its memory back."""
    import tensorflow as tf

    return tf.compat.v1.GraphDef.FromString(record).node[0]


def _place(node: Any, start: int, record: bytes) -> Place:
    tensor = node.attr["value"].tensor
    # The same bytes further ahead would be as good.
    offset = start + record.index(tensor.tensor_content)
    return Place(node.name, offset, tuple(dim.size for dim in tensor.tensor_shape.dim))


def _placeholder(node: Any) -> Any:
    made = type(node)(name=node.name, op="Placeholder")
    made.attr["dtype"].type = _FLOAT
    made.attr["shape"].shape.CopyFrom(node.attr["value"].tensor.tensor_shape)
    return made


def _records(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """The fields of a message: number, where it starts, and all its bytes."""
    while True:
        start = file.tell()
        tag = _number(file)
        if tag is None:
            return
        wire = tag & 7
        length = _number(file)
        if wire not in (_VARINT, _BYTES) or length is None:
            raise InternalError(f"The frozen graph is damaged at byte {start:,}.")
        end = file.tell() + (length if wire == _BYTES else 0)
        file.seek(start)
        yield tag >> 3, start, file.read(end - start)


def _number(file: BinaryIO) -> int | None:
    """A varint: seven bits a byte, the lowest first; None at the end of the file."""
    value = shift = 0
    while byte := file.read(1):
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return value
    return None
