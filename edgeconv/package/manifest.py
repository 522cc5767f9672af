"""manifest.json: what a bundle says of itself.

``edgeconv.runtime.manifest`` reads it; the two are tested against each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePath, PureWindowsPath
from typing import Any

from edgeconv.types import Artifact, Format, Recipe, SourceModel, TensorSpec

__all__ = ["artifact_file", "build_manifest", "describe_tensor", "json_bytes"]

_SCHEMA_VERSION = 1


def artifact_file(format: Format) -> str:
    """Name of a format's model file in a bundle."""
    return f"model.{format}"


def build_manifest(
    source: SourceModel,
    artifacts: Sequence[Artifact],
    recipe: Recipe,
    tolerance: Mapping[str, float],
    versions: Mapping[str, str],
    device: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of manifest.json.

    Args:
        source: The float reference.
        artifacts: The model files.
        recipe: How they were asked for.
        tolerance: Artifact file -> largest difference from golden.npz.
        versions: Of the tools that made them.
        device: Name, engine and version of what they were made for, or None.
    """
    return {
        "schema_version": _SCHEMA_VERSION,
        "name": source.name,
        "precision": recipe.precision,
        "task": source.task,
        "activation": source.activation,
        "labels": "labels.txt" if source.labels else None,
        "preprocess": source.preprocess.to_json(),
        "inputs": [describe_tensor(spec) for spec in source.inputs],
        "outputs": [describe_tensor(spec) for spec in source.outputs],
        "artifacts": [_artifact(artifact) for artifact in artifacts],
        "golden": {"file": "golden.npz", "tolerance": dict(tolerance)},
        "recipe": asdict(recipe),
        "provenance": _without_paths(source.provenance),
        "versions": dict(versions),
        "device": dict(device) if device else None,
    }


def json_bytes(value: Any) -> bytes:
    """JSON with sorted keys, so that equal values are equal bytes.

    Raises:
        ValueError: It holds NaN or infinity, which JSON has no word for.
    """
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8") + b"\n"


def _artifact(artifact: Artifact) -> dict[str, Any]:
    return {
        "file": artifact_file(artifact.format),
        "format": artifact.format,
        "precision": artifact.precision,
        "sha256": artifact.sha256,
        "bytes": artifact.size_bytes,
        "inputs": [describe_tensor(spec) for spec in artifact.inputs],
        "outputs": [describe_tensor(spec) for spec in artifact.outputs],
        "operators": dict(artifact.operators),
        "float_operators": dict(artifact.float_operators),
        "exceptions": [asdict(found) for found in artifact.exceptions],
    }


def describe_tensor(spec: TensorSpec) -> dict[str, Any]:
    """A tensor as it stands in manifest.json."""
    return {**asdict(spec), "shape": list(spec.shape)}


def _without_paths(value: Any) -> Any:
    """Provenance with file names in place of paths: where a file lay is nobody's business."""
    if isinstance(value, Mapping):
        return {str(key): _without_paths(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(entry) for entry in value]
    if isinstance(value, PurePath):
        return value.name
    if isinstance(value, str) and (value.startswith(("/", "~/")) or PureWindowsPath(value).drive):
        return PureWindowsPath(value).name  # understands both separators
    return value
