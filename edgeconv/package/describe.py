"""What is in a bundle or a model file, as one JSON object.

A bundle is described by its manifest, without an engine; a single file by its
own tables.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeconv.errors import RefusedInput
from edgeconv.package.read_model import describe_file
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.manifest import MANIFEST_FILE, MAX_MANIFEST_BYTES, parse_manifest

__all__ = ["describe"]

_MAX_VERDICT_BYTES = 64 << 20


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
    artifact = describe_file(path)
    return {"schema_version": 1, "kind": "file", "name": path.name, "artifacts": [artifact]}


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
