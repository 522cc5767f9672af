"""Read and write TFLite files as the objects of their schema.

Source: tensorflow/lite/schema/schema.fbs, through ai-edge-litert's generated code.
"""

from __future__ import annotations

import hashlib
import mmap
import shutil
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.types import Array, TensorSpec

__all__ = [
    "ModelT",
    "array_of",
    "copy",
    "dtype_of",
    "is_constant",
    "name_of",
    "operator_names",
    "parse",
    "read",
    "rename_outputs",
    "sha256_of",
    "specs",
    "to_bytes",
    "unused_name",
    "view",
    "write",
    "write_bytes",
]

#: ai_edge_litert.schema_py_generated.ModelT, a tree of plain objects.
ModelT = Any

_IDENTIFIER: Final = b"TFL3"
#: schema.fbs: ``data:[ubyte] (force_align: 16)``.
_ALIGNMENT: Final = 16
#: What tables and names may take beside the buffers before the builder grows.
_TABLES_BYTES: Final = 1 << 20
#: Files whose trees are kept for the next who looks: the float one, and a patched one.
_VIEWS: Final = 2


def read(path: Path) -> ModelT:
    """One of our own files as a mutable tree.

    Constants are read-only views into the mapped file, so weights that nobody looks at
    take no memory.
    """
    with path.open("rb") as file:
        return parse(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def view(path: Path) -> ModelT:
    """As ``read``, but shared with others who ask for the same file: not to be changed."""
    status = path.stat()
    return _view(path, status.st_ino, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=_VIEWS)
def _view(path: Path, *version: int) -> ModelT:
    return read(path)


def parse(content: bytes | bytearray | mmap.mmap) -> ModelT:
    """``content`` as a mutable tree; constants are views into it."""
    from ai_edge_litert.tools import flatbuffer_utils

    return flatbuffer_utils.read_model_from_bytearray(content)


def write(model: ModelT, path: Path) -> None:
    """Write ``model`` to ``path``, as ``to_bytes`` makes it."""
    builder = _packed(model)
    # Its Output() would be one more copy of all weights.
    write_bytes(memoryview(builder.Bytes)[builder.Head() :], path)


def to_bytes(model: ModelT) -> bytes:
    """``model`` with its constants inside the flatbuffer, 16-byte aligned.

    ai-edge-quantizer appends them behind it, which older runtimes can't read.

    Raises:
        Unsupported: The file would not fit in a flatbuffer (2 GiB).
    """
    builder = _packed(model)
    # Its Output() is a bytearray, which those who read models would copy once more.
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


def _packed(model: ModelT) -> Any:
    """The finished flatbuffers.Builder."""
    import flatbuffers  # type: ignore[import-untyped]

    buffers = model.buffers
    model.buffers = [_Aligned(buffer) for buffer in buffers]
    constants = sum(0 if b.data is None else len(b.data) for b in buffers)
    builder = flatbuffers.Builder(constants + _TABLES_BYTES)
    try:
        builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    except flatbuffers.builder.BuilderSizeError as error:
        raise Unsupported(
            "The model is larger than the 2 GiB that a TFLite file can hold.",
            "Export it with --format onnx.",
        ) from error
    finally:
        model.buffers = buffers
    return builder


def write_bytes(content: bytes | bytearray | memoryview, path: Path) -> None:
    """Write aside, then rename: ``path`` is whole or not there."""
    aside = path.with_name(path.name + ".part")
    aside.write_bytes(content)
    aside.replace(path)


def copy(source: Path, target: Path) -> None:
    """As ``write`` with what ``source`` holds."""
    aside = target.with_name(target.name + ".part")
    shutil.copyfile(source, aside)
    aside.replace(target)


def sha256_of(path: Path) -> str:
    """Of the whole file, which is not held in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Aligned:
    """A BufferT that packs its data on the boundary that the schema demands."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer

    def Pack(self, builder: Any) -> int:
        data = self._buffer.data
        if data is not None:
            self._buffer.data = np.frombuffer(data, np.uint8)
            builder.Prep(_ALIGNMENT, self._buffer.data.size)
        return int(self._buffer.Pack(builder))


def name_of(tensor: Any) -> str:
    """A TensorT's name."""
    return "" if tensor.name is None else bytes(tensor.name).decode("utf-8", "replace")


def dtype_of(tensor: Any) -> str:
    """NumPy's name of a TensorT's type, such as ``float32``."""
    return _type_names()[tensor.type]


def is_constant(model: ModelT, tensor: Any) -> bool:
    """Whether the file holds the tensor's value."""
    return model.buffers[tensor.buffer].data is not None


def array_of(model: ModelT, tensor: Any) -> Array:
    """A constant's value in the file's own layout and dtype."""
    data = np.frombuffer(model.buffers[tensor.buffer].data, np.uint8)
    shape = () if tensor.shape is None else tuple(tensor.shape)
    return data.view(dtype_of(tensor)).reshape(shape)


def operator_names(model: ModelT) -> list[str]:
    """The type of each entry of the file's operator table, such as ``CONV_2D``."""
    names = _operator_codes()
    custom = names.get(32)
    found = []
    for code in model.operatorCodes:
        # Files from before 2020 know only the deprecated field.
        name = names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "UNKNOWN")
        if name == custom and code.customCode:
            name = f"CUSTOM {bytes(code.customCode).decode('utf-8', 'replace')}"
        found.append(name)
    return found


def specs(model: ModelT) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs as the file has them, in its order."""
    graph = model.subgraphs[0]
    inputs = tuple(_spec(graph.tensors[i]) for i in graph.inputs)
    return inputs, tuple(_spec(graph.tensors[i]) for i in graph.outputs)


def _spec(tensor: Any) -> TensorSpec:
    quantization = tensor.quantization
    quantized = quantization is not None and quantization.scale is not None
    return TensorSpec(
        name=name_of(tensor),
        shape=() if tensor.shape is None else tuple(int(n) for n in tensor.shape),
        dtype=dtype_of(tensor),
        scale=float(quantization.scale[0]) if quantized else None,
        zero_point=int(quantization.zeroPoint[0]) if quantized else None,
    )


def rename_outputs(model: ModelT, names: Sequence[str]) -> Mapping[str, str]:
    """Give the outputs ``names`` in place of those of all that was fused into them.

    A name that another tensor has is left to it, and an input stays as it is.

    Returns:
        Old name -> new name, of those that changed.
    """
    graph = model.subgraphs[0]
    taken = {name_of(tensor) for tensor in graph.tensors}
    renamed = {}
    for index, name in zip(graph.outputs, names, strict=True):
        tensor = graph.tensors[index]
        if name in taken or index in graph.inputs:
            continue
        renamed[name_of(tensor)] = name
        taken.add(name)
        tensor.name = name.encode()
    return renamed


def unused_name(model: ModelT, name: str) -> str:
    """``name``, or with a number behind it where a tensor has it already."""
    taken = {name_of(t) for graph in model.subgraphs for t in graph.tensors}
    number = 2
    candidate = name
    while candidate in taken:
        candidate = f"{name}#{number}"
        number += 1
    return candidate


@cache
def _type_names() -> Mapping[int, str]:
    from ai_edge_litert.schema_py_generated import TensorType

    return {code: name.lower() for name, code in vars(TensorType).items() if name[0] != "_"}


@cache
def _operator_codes() -> Mapping[int, str]:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    return {code: name for name, code in vars(BuiltinOperator).items() if name[0] != "_"}
