"""Read the tables of a model file that nobody vouches for, in a process of its own.

LiteRT verifies a FlatBuffer's bounds, yet four flipped bits of an 8 kB file
were enough to end the process inside it; a parser in Python survives those but
can be kept busy for hours. So a child does both, within limits, and a child
that dies or dawdles is an answer too: the file is damaged.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeconv import errors
from edgeconv.errors import EdgeconvError, HostFailure, MissingDependency, RefusedInput, UsageError
from edgeconv.package.manifest import describe_tensor
from edgeconv.runtime.engines import open_model

__all__ = ["describe_file", "model_bytes"]

_MAX_MODEL_BYTES = 2**31  # neither format can be larger in one file
#: A gigabyte-sized model is read in seconds.
_MAX_SECONDS = 120
_MAX_MEMORY_BYTES = 16 << 30
_ONNX_NAMES = {"float": "float32", "double": "float64"}
_ONNX_BORDER = {"Cast", "DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape"}


def describe_file(path: Path) -> dict[str, Any]:
    """Describe a .tflite or .onnx file as an artifact of manifest.json.

    Returns:
        ``file``, ``format``, ``bytes``, ``inputs``, ``outputs``, ``operators``,
        ``float_operators`` (None where no engine tells), ``weights`` (the dtype of
        most of its constants' bytes, "" without any), ``head`` (the operator that
        gives the first output, what only carries values over a border passed over)
        and ``precision`` (None: a file doesn't say).

    Raises:
        UsageError: There is no such file, or it is neither format.
        RefusedInput: It is damaged.
        MissingDependency: The package that reads the format is not installed.
    """
    if not path.is_file():
        raise UsageError(f"There is no file or folder {path}.", "Check the path.")
    command = [sys.executable, "-P", "-m", __name__, str(path.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_MAX_SECONDS)
    except subprocess.TimeoutExpired:
        raise _damaged(path) from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:  # it died: of a signal, or of its limits
        raise _damaged(path) from None
    if "message" in answer:
        error_class = getattr(errors, answer["class"], errors.InternalError)
        raise error_class(answer["message"], answer["hint"])
    return {"file": path.name, "precision": None, **answer}


def _damaged(path: Path) -> RefusedInput:
    return RefusedInput(f"{path} is damaged: reading it failed.", "Copy or export it again.")


def _read_model(path: Path) -> dict[str, Any]:
    data = model_bytes(path)
    if data[4:8] == b"TFL3":
        return {"bytes": len(data), **_read_tflite(data, path)}
    if path.suffix.lower() == ".onnx":
        return {"bytes": len(data), **_read_onnx(data, path)}
    if path.suffix.lower() == ".tflite":
        raise RefusedInput(f"{path} is no TFLite file.", "Copy or export it again.")
    raise UsageError(
        f"{path} is no bundle, no .tflite and no .onnx file.",
        "Keras models are for edgeconv export, which makes a bundle of them.",
    )


def model_bytes(path: Path) -> bytes:
    """The content of a model file.

    Raises:
        HostFailure: It can't be read.
        RefusedInput: It is larger than any model file can be.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_MODEL_BYTES + 1)
    except OSError as error:
        raise HostFailure(f"{path} can't be read: {error.strerror}.") from error
    if len(data) > _MAX_MODEL_BYTES:
        raise RefusedInput(f"{path} is larger than any model file can be.")
    return data


def _read_tflite(data: bytes, path: Path) -> dict[str, Any]:
    # A file with operators that the engine lacks is sound nevertheless.
    with contextlib.suppress(errors.Unsupported):
        open_model(data, "tflite", engine="litert")
    from edgeconv.targets.tflite import flatbuffer, structure

    try:
        model = flatbuffer.parse(data)
        inputs, outputs = flatbuffer.specs(model)
        operators, in_float = structure.count_operators(model)
        weights, head = structure.weights_dtype(model), structure.head(model)
    except EdgeconvError:
        raise
    except Exception as error:  # whatever the schema's accessors raise on odd tables
        raise _damaged(path) from error
    return {
        "format": "tflite",
        "inputs": [describe_tensor(spec) for spec in inputs],
        "outputs": [describe_tensor(spec) for spec in outputs],
        "operators": operators,
        "float_operators": in_float,
        "weights": weights,
        "head": head,
    }


def _read_onnx(data: bytes, path: Path) -> dict[str, Any]:
    try:
        import onnx
    except ImportError:
        raise MissingDependency(
            "Reading ONNX files needs the package onnx.", "pip install edgeconv[convert]"
        ) from None
    try:
        graph = onnx.load_model_from_string(data).graph
    except Exception as error:  # protobuf's error class moves between its versions
        raise _damaged(path) from error
    if not graph.node:
        raise RefusedInput(f"{path} holds no operators.", "Copy or export it again.")
    constants = {tensor.name for tensor in graph.initializer}
    operators, in_float = _count_onnx(data, [node.op_type for node in graph.node])
    return {
        "format": "onnx",
        "inputs": [_onnx_tensor(value) for value in graph.input if value.name not in constants],
        "outputs": [_onnx_tensor(value) for value in graph.output],
        "operators": operators,
        "float_operators": in_float,
        "weights": _onnx_weights(graph),
        "head": _onnx_head(graph),
    }


def _onnx_weights(graph: Any) -> str:
    from onnx import TensorProto

    sizes: Counter[str] = Counter()
    for tensor in graph.initializer:
        name = TensorProto.DataType.Name(tensor.data_type).lower()
        sizes[_ONNX_NAMES.get(name, name)] += tensor.ByteSize()
    return max(sorted(sizes), key=sizes.__getitem__, default="")


def _onnx_head(graph: Any) -> str:
    makers = {name: node for node in graph.node for name in node.output}
    name = graph.output[0].name if graph.output else ""
    for _ in graph.node:
        node = makers.get(name)
        if node is None or not node.input or node.op_type not in _ONNX_BORDER:
            return node.op_type if node is not None else ""
        name = node.input[0]
    return ""


def _count_onnx(data: bytes, types: list[str]) -> tuple[dict[str, int], dict[str, int] | None]:
    """Operators as ONNX Runtime runs them; as they stand in the file where it can't."""
    from edgeconv.targets.onnx import structure

    try:
        return structure.count_runtime_operators(data)
    except (ImportError, errors.Unsupported):
        return dict(sorted(Counter(types).items())), None


def _onnx_tensor(value: Any) -> Mapping[str, Any]:
    from onnx import helper

    tensor = value.type.tensor_type
    shape = [axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim]
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except (KeyError, TypeError, ValueError):
        dtype = "unknown"
    return {
        "name": value.name,
        "shape": shape,
        "dtype": dtype,
        "scale": None,
        "zero_point": None,
    }


def _main(path: Path) -> None:
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    answer: dict[str, Any]
    try:
        answer = _read_model(path)
    except EdgeconvError as error:
        answer = {"class": type(error).__name__, "message": error.message, "hint": error.hint}
    print(json.dumps(answer))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
