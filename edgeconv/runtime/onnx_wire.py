"""What an ONNX file keeps outside itself, read from its bytes without the onnx package.

    ModelProto > graph > initializer | node > attribute > tensor > external_data

A file can name any path there, and an engine that is given the file would read it. The
runtime opens a model only where every name is that of a file which it was given.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (field numbers), and
https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Optional

from edgeconv.errors import RefusedInput

__all__ = ["external_files", "refuse_outside"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 64
_GRAPH, _FUNCTION, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _TRAINING = range(7)
#: Message -> number of a field -> message in it. Others hold no tensor.
_INNER = {
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {
        5: _TENSOR,
        6: _GRAPH,
        10: _TENSOR,
        11: _GRAPH,
        22: _SPARSE,
        23: _SPARSE,
    },
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
}
_MODEL = {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION}
#: Of TensorProto: pairs of key and value, and whether they count.
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def external_files(data: bytes) -> set[str]:
    """Names of the files that a model's tensors lie in; a tensor that names none gives "".

    Raises:
        RefusedInput: The bytes are no ONNX file.
    """
    found: set[str] = set()
    waiting = [(memoryview(data), _MODEL, 0)]
    while waiting:
        message, fields, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise RefusedInput("The ONNX file nests its graphs too deep.")
        for number, value in _fields(message):
            kind = fields.get(number)
            if kind is None or value is None:
                continue
            if kind == _TENSOR:
                found.update(_locations(value))
            else:
                waiting.append((value, _INNER[kind], depth + 1))
    return found


def refuse_outside(data: bytes, files: Collection[str]) -> None:
    """See that a model takes weights from nowhere but itself and ``files``.

    Raises:
        RefusedInput: It names another file, or is no ONNX file.
    """
    for name in sorted(external_files(data) - set(files)):
        raise RefusedInput(
            f"The ONNX file takes weights from {name[:100]!a}, which is no file of its own.",
            "Save the model with its weights inside, or export it again.",
        )


def _locations(tensor: memoryview) -> Iterator[str]:
    """The file that a tensor names, where it names one."""
    outside, location = False, ""
    for number, value in _fields(tensor):
        if number in (_EXTERNAL_DATA, _DATA_LOCATION):
            outside = True
        if number == _EXTERNAL_DATA and value is not None:
            pair = {n: bytes(v) for n, v in _fields(value) if v is not None}
            if pair.get(1) == b"location":
                location = pair.get(2, b"").decode("utf-8", "replace")
    if outside:
        yield location


def _fields(message: memoryview) -> Iterator[tuple[int, Optional[memoryview]]]:
    """Numbers of a message's fields, with the content of those that have bytes."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == _BYTES:
            length, at = _varint(message, at)
            if length > end - at:
                raise _damaged()
            yield tag >> 3, message[at : at + length]
            at += length
            continue
        if wire == _VARINT:
            value, at = _varint(message, at)
            if not value:  # a default written down
                continue
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise _damaged()
        yield tag >> 3, None


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise _damaged()


def _damaged() -> RefusedInput:
    return RefusedInput("The ONNX file is damaged.", "Copy or export it again.")
