"""What is in a bundle or a model file, as one JSON object.

A bundle is described by its manifest, without an engine; a single file by its
own tables, after LiteRT's verifier or ONNX's parser found it sound.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeconv.errors import (
    EdgeconvError,
    HostFailure,
    MissingDependency,
    RefusedInput,
    Unsupported,
    UsageError,
)
from edgeconv.package.manifest import describe_tensor
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.engines import open_model
from edgeconv.runtime.manifest import MANIFEST_FILE, MAX_MANIFEST_BYTES, parse_manifest

__all__ = ["describe"]

_MAX_VERDICT_BYTES = 64 << 20
_MAX_MODEL_BYTES = 2**31  # neither format can be larger in one file
_MAX_ONNX_NODES = 1_000_000


def describe(path: Path) -> dict[str, Any]:
    """Describe a bundle folder, a .tflite file or an .onnx file.

    Returns:
        ``kind`` (``bundle`` or ``file``), ``name`` and ``artifacts``, each as in
        manifest.json; for a bundle also ``manifest``, ``verdict`` and ``files``.

    Raises:
        UsageError: Nothing is there, or it is neither of these.
        RefusedInput: It is damaged.
        MissingDependency: The package that reads the format is not installed.
    """
    if path.is_dir():
        return _describe_bundle(path)
    data = _read(path)
    if data[4:8] == b"TFL3":
        artifact = _describe_tflite(data)
    elif path.suffix.lower() == ".onnx":
        artifact = _describe_onnx(data)
    elif path.suffix.lower() == ".tflite":
        raise RefusedInput(f"{path} is no TFLite file.", "Copy or export it again.")
    else:
        raise UsageError(f"{path} is no bundle, no .tflite and no .onnx file.")
    described = {"file": path.name, "precision": None, "bytes": len(data), **artifact}
    return {"schema_version": 1, "kind": "file", "name": path.name, "artifacts": [described]}


def _describe_bundle(path: Path) -> dict[str, Any]:
    folder = SealedFolder(path)
    data = folder.read(MANIFEST_FILE, MAX_MANIFEST_BYTES)
    name = parse_manifest(data).name
    manifest = json.loads(data)
    try:
        verdict = json.loads(folder.read("verdict.json", _MAX_VERDICT_BYTES))
    except (ValueError, RecursionError) as error:
        raise RefusedInput(f"verdict.json is no valid JSON: {str(error)[:100]}") from error
    sizes = {file: (path / file).stat().st_size for file in sorted(folder.sums)}
    return {
        "schema_version": 1,
        "kind": "bundle",
        "name": name,
        "artifacts": manifest["artifacts"],
        "manifest": manifest,
        "verdict": verdict if isinstance(verdict, dict) else {},
        "files": [{"file": file, "bytes": size} for file, size in sizes.items()],
    }


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_MODEL_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"There is no file or folder {path}.") from None
    except OSError as error:
        raise HostFailure(f"{path} can't be read: {error.strerror}.") from error
    if len(data) > _MAX_MODEL_BYTES:
        raise RefusedInput(f"{path} is larger than any model file can be.")
    return data


def _describe_tflite(data: bytes) -> dict[str, Any]:
    # A file with operators that the engine lacks is sound nevertheless.
    with contextlib.suppress(Unsupported):
        # Its verifier bounds how many tables there are, and that all lie in the file.
        open_model(data, "tflite", engine="litert")
    from edgeconv.targets.tflite import flatbuffer, structure

    try:
        model = flatbuffer.parse(data)
        inputs, outputs = flatbuffer.specs(model)
        operators, in_float = structure.count_operators(model)
    except EdgeconvError:
        raise
    except Exception as error:  # whatever the schema's accessors raise on odd tables
        raise RefusedInput(f"The TFLite file can't be read: {str(error)[:100]}") from error
    return {
        "format": "tflite",
        "inputs": [describe_tensor(spec) for spec in inputs],
        "outputs": [describe_tensor(spec) for spec in outputs],
        "operators": operators,
        "float_operators": in_float,
    }


def _describe_onnx(data: bytes) -> dict[str, Any]:
    try:
        import onnx
    except ImportError:
        raise MissingDependency(
            "Reading ONNX files needs the package onnx.", "pip install edgeconv[convert]"
        ) from None
    try:
        graph = onnx.load_model_from_string(data).graph
    except Exception as error:  # protobuf's error class moves between its versions
        raise RefusedInput("The ONNX file can't be parsed.", "Copy or export it again.") from error
    if not graph.node or len(graph.node) > _MAX_ONNX_NODES:
        raise RefusedInput(f"The ONNX file has {len(graph.node)} operators.")
    constants = {tensor.name for tensor in graph.initializer}
    operators: dict[str, int] = {}
    for node in graph.node:
        operators[node.op_type] = operators.get(node.op_type, 0) + 1
    return {
        "format": "onnx",
        "inputs": [_onnx_tensor(value) for value in graph.input if value.name not in constants],
        "outputs": [_onnx_tensor(value) for value in graph.output],
        "operators": dict(sorted(operators.items())),
        "float_operators": None,
    }


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
