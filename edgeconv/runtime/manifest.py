"""manifest.json, read strictly: wrong types and missing keys are refused.

Keys that this version doesn't know are passed over, so that a later one may
add some without a new ``schema_version``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from edgeconv.errors import RefusedInput, Unsupported
from edgeconv.preprocess import Preprocess
from edgeconv.runtime.text import UNSAFE_TEXT
from edgeconv.types import TensorSpec

__all__ = ["MANIFEST_FILE", "MAX_MANIFEST_BYTES", "ArtifactEntry", "Manifest", "parse_manifest"]

MANIFEST_FILE = "manifest.json"
MAX_MANIFEST_BYTES = 4 << 20
_SCHEMA_VERSION = 1
_MAX_TENSORS = 64
_MAX_RANK = 8


@dataclass(frozen=True)
class ArtifactEntry:
    """One model file of a bundle.

    Attributes:
        file: Name in the bundle.
        format: ``tflite`` or ``onnx``.
        precision: Such as ``int8``.
        sha256: Of the file.
        size_bytes: Of the file.
        inputs: With scale and zero point where quantized.
        outputs: Likewise.
        operators: Operator type -> count.
        float_operators: Those that compute in float.
    """

    file: str
    format: str
    precision: str
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: Mapping[str, int]
    float_operators: Mapping[str, int]


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself.

    Attributes:
        name: Of the model.
        precision: Of the bundle.
        task: ``classification``, ``embedding``, ``regression`` or ``raw``.
        activation: What the runtime applies to the first output.
        labels: Name of the label file, or None.
        preprocess: From picture or array to the input.
        inputs: Float specs.
        outputs: Float specs.
        artifacts: The model files.
        golden: Name of the file of golden inputs and outputs, or None.
        tolerance: Artifact file -> largest difference from golden, in real units.
        recipe: How it was quantized.
        provenance: Where the model came from.
        versions: Of the tools that made it.
    """

    name: str
    precision: str
    task: str
    activation: str
    labels: Optional[str]
    preprocess: Preprocess
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    artifacts: tuple[ArtifactEntry, ...]
    golden: Optional[str]
    tolerance: Mapping[str, float]
    recipe: Mapping[str, Any]
    provenance: Mapping[str, Any]
    versions: Mapping[str, Any]


def parse_manifest(data: bytes) -> Manifest:
    """Read the bytes of manifest.json.

    Raises:
        RefusedInput: No JSON, a key missing or of the wrong type.
        Unsupported: Written by a later edgeconv in a form unknown here.
    """
    try:
        table = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RefusedInput(f"{MANIFEST_FILE} is no valid JSON: {str(error)[:100]}") from error
    if not isinstance(table, dict):
        raise RefusedInput(f"{MANIFEST_FILE} holds no object.")
    version = _integer(table, "schema_version")
    if version > _SCHEMA_VERSION:
        raise Unsupported(
            f"The bundle has schema_version {version}, newer than {_SCHEMA_VERSION}, known here.",
            "Update edgeconv, or run the infer.py inside the bundle.",
        )
    labels = table.get("labels")
    golden = _table(table, "golden") if table.get("golden") is not None else None
    return Manifest(
        name=_text(table, "name"),
        precision=_text(table, "precision"),
        task=_one_of(table, "task", "classification", "embedding", "regression", "raw"),
        activation=_one_of(table, "activation", "linear", "softmax", "sigmoid"),
        labels=None if labels is None else _text(table, "labels"),
        preprocess=Preprocess.from_json(_table(table, "preprocess")),
        inputs=_tensors(table, "inputs"),
        outputs=_tensors(table, "outputs"),
        artifacts=tuple(_artifact(entry) for entry in _objects(table, "artifacts")),
        golden=None if golden is None else _text(golden, "file"),
        tolerance={} if golden is None else _tolerances(golden),
        recipe=_table(table, "recipe"),
        provenance=_table(table, "provenance"),
        versions=_table(table, "versions"),
    )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _artifact(entry: Mapping[str, Any]) -> ArtifactEntry:
    return ArtifactEntry(
        file=_text(entry, "file"),
        format=_one_of(entry, "format", "tflite", "onnx"),
        precision=_text(entry, "precision"),
        sha256=_text(entry, "sha256"),
        size_bytes=_integer(entry, "bytes"),
        inputs=_tensors(entry, "inputs"),
        outputs=_tensors(entry, "outputs"),
        operators=_counts(entry, "operators"),
        float_operators=_counts(entry, "float_operators"),
    )


def _tensors(table: Mapping[str, Any], key: str) -> tuple[TensorSpec, ...]:
    return tuple(_tensor(row) for row in _objects(table, key))


def _tensor(row: Mapping[str, Any]) -> TensorSpec:
    shape = row.get("shape")
    if not isinstance(shape, list) or not 0 < len(shape) <= _MAX_RANK:
        raise _wrong("shape", f"a list of 1 to {_MAX_RANK} lengths")
    if not all(n is None or (_is_integer(n) and 0 < n < 2**31) for n in shape):
        raise _wrong("shape", "a list of lengths")
    try:
        dtype = np.dtype(_text(row, "dtype"))
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "fiub":
        raise _wrong("dtype", "a number type")
    quantized = row.get("scale") is not None
    if quantized and not _number(row, "scale") > 0.0:
        raise _wrong("scale", "above 0")
    return TensorSpec(
        name=_text(row, "name"),
        shape=tuple(shape),
        dtype=dtype.name,
        scale=_number(row, "scale") if quantized else None,
        zero_point=_integer(row, "zero_point", signed=True) if quantized else None,
    )


def _tolerances(golden: Mapping[str, Any]) -> dict[str, float]:
    table = _table(golden, "tolerance")
    return {file: _number(table, file) for file in table}


def _counts(table: Mapping[str, Any], key: str) -> dict[str, int]:
    counts = _table(table, key)
    return {name: _integer(counts, name) for name in counts}


def _objects(table: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = table.get(key)
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_TENSORS:
        raise _wrong(key, "a list")
    if not all(isinstance(row, dict) for row in value):
        raise _wrong(key, "a list of objects")
    return value


def _table(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key)
    if not isinstance(value, dict):
        raise _wrong(key, "an object")
    return value


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or UNSAFE_TEXT.search(value) or not 0 < len(value) <= 1000:
        raise _wrong(key, "printable text")
    return value


def _one_of(table: Mapping[str, Any], key: str, *known: str) -> str:
    value = _text(table, key)
    if value not in known:
        raise _wrong(key, f"one of {', '.join(known)}")
    return value


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _integer(table: Mapping[str, Any], key: str, signed: bool = False) -> int:
    value = table.get(key)
    if not isinstance(value, int) or not _is_integer(value) or abs(value) >= 2**63:
        raise _wrong(key, "an integer")
    if value < 0 and not signed:
        raise _wrong(key, "a count")
    return value


def _number(table: Mapping[str, Any], key: str) -> float:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(key, "a number")
    if not abs(value) <= sys.float_info.max:  # NaN too; and integers beyond any float
        raise _wrong(key, "a finite number")
    return float(value)


def _wrong(key: str, wanted: str) -> RefusedInput:
    return RefusedInput(f"{MANIFEST_FILE}: {key[:60]!r} is missing or not {wanted}.")
