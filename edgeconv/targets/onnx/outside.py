"""Weights in a file beside the model, where they are too much for one file.

    model.onnx          nodes, small constants, and where the others lie
    model.onnx.data     their values, each at a multiple of 64 bytes

Protocol Buffers hold no message beyond 2 GiB. The file's name follows from the
model's; another one is never read.

Source: https://github.com/onnx/onnx/blob/main/docs/ExternalData.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final

from edgeconv.errors import InternalError

__all__ = ["LARGEST_BYTES", "data_file", "files_beside", "move_in", "move_out", "place_outside"]

#: What one file may hold, with a little left for names.
LARGEST_BYTES: Final = 2**31 - 2**24
#: Smaller constants stay, for shapes are computed from some.
_SMALLEST_BYTES: Final = 1024
_ALIGNMENT: Final = 64
_OUTSIDE: Final = 1


def data_file(path: Path) -> Path:
    """Where the weights of the model at ``path`` lie, if not in it."""
    return path.with_name(f"{path.name}.data")


def files_beside(path: Path) -> dict[str, bytes]:
    """Name -> content of the file of weights that belongs to a model, if there is one."""
    data = data_file(path)
    return {data.name: data.read_bytes()} if data.is_file() else {}


def move_out(tensors: Iterable[Any], path: Path) -> None:
    """Write the values of large initializers beside the model at ``path``; in place."""
    with data_file(path).open("wb") as file:
        for tensor in tensors:
            if len(tensor.raw_data) >= _SMALLEST_BYTES:
                place_outside(tensor, file, tensor.raw_data)


def place_outside(tensor: Any, file: BinaryIO, values: bytes) -> None:
    """Write a tensor's values to ``file``, and where they lie there to ``tensor``."""
    file.write(bytes(-file.tell() % _ALIGNMENT))
    offset = file.tell()
    file.write(values)
    tensor.ClearField("raw_data")
    tensor.data_location = _OUTSIDE
    del tensor.external_data[:]
    name = Path(file.name).name
    for key, value in (("location", name), ("offset", offset), ("length", len(values))):
        tensor.external_data.add(key=key, value=str(value))


def move_in(tensors: Iterable[Any], path: Path) -> None:
    """Read back what ``move_out`` wrote, of a model that edgeconv wrote itself; in place.

    Raises:
        InternalError: A tensor names another file.
    """
    outside = [tensor for tensor in tensors if tensor.data_location == _OUTSIDE]
    if not outside:
        return
    with data_file(path).open("rb") as file:
        for tensor in outside:
            place = {entry.key: entry.value for entry in tensor.external_data}
            if place["location"] != data_file(path).name:
                raise InternalError(f"{path.name} takes weights from {place['location']!r}.")
            file.seek(int(place.get("offset", 0)))
            tensor.raw_data = file.read(int(place["length"]))
            tensor.ClearField("data_location")
            del tensor.external_data[:]
