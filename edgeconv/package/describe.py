"""What is in a bundle or a model file, as one JSON object.

A bundle is described by its manifest, without an engine; a single file by its
own tables, a fine-tuned model by what it knows of itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeconv import knowledge
from edgeconv.errors import RefusedInput
from edgeconv.knowledge import Knowledge
from edgeconv.package.read_model import describe_file
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.manifest import MANIFEST_FILE, MAX_MANIFEST_BYTES, parse_manifest

__all__ = ["describe"]

_MAX_VERDICT_BYTES = 64 << 20


def describe(path: Path) -> dict[str, Any]:
    """Describe a bundle folder, a .tflite or .onnx file, or a fine-tuned .keras file.

    Returns:
        ``kind`` (``bundle``, ``file`` or ``model``), ``name`` and ``artifacts``, each as in
        manifest.json; for a bundle also ``manifest``, ``verdict`` and ``files``, for a
        model ``knowledge``.

    Raises:
        UsageError: Nothing is there, or it is neither of these.
        RefusedInput: It is damaged.
        MissingDependency: The package that reads the format is not installed.
    """
    if path.is_dir():
        return _describe_bundle(path)
    if (known := knowledge.read(path)) is not None:
        return _describe_model(path, known)
    artifact = describe_file(path)
    return {"schema_version": 1, "kind": "file", "name": path.name, "artifacts": [artifact]}


def _describe_model(path: Path, known: Knowledge) -> dict[str, Any]:
    splits = {
        name: {"folder": split.root, "pictures": len(split.entries)}
        for name, split in known.splits.items()
    }
    return {
        "schema_version": 1,
        "kind": "model",
        "name": path.name,
        "artifacts": [],
        "knowledge": {
            "preprocess": known.preprocess.to_json(),
            "labels": list(known.labels),
            "splits": splits,
            "provenance": dict(known.provenance),
        },
    }


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
