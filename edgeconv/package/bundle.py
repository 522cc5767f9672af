"""The bundle: one folder with everything that a device needs, and the proof.

    artifacts, recipe, verdict, report ──► files ──► SHA256SUMS ──► one rename

Dates and timings stand only in bench.json and report.html; everything else is
byte-identical from the same inputs, seed and versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeconv.errors import InternalError
from edgeconv.package.card import build_card
from edgeconv.package.folder import write_folder
from edgeconv.package.golden import make_golden
from edgeconv.package.infer import build_infer_script
from edgeconv.package.manifest import artifact_file, build_manifest, json_bytes
from edgeconv.quantize.recipe import recipe_to_text
from edgeconv.runtime.checksums import SUMS_FILE
from edgeconv.runtime.manifest import MANIFEST_FILE, parse_manifest
from edgeconv.runtime.text import UNSAFE_TEXT
from edgeconv.types import Array, Artifact, Precision, Recipe, SourceModel

__all__ = ["destination", "labels_text", "write_bundle"]


def destination(output: Path | None, name: str, precision: Precision) -> Path:
    """Where a bundle goes: ``output``, else ``./NAME-PRECISION``."""
    return output if output is not None else Path(f"{name}-{precision}")


def write_bundle(
    destination: Path,
    *,
    source: SourceModel,
    artifacts: Sequence[Artifact],
    recipe: Recipe,
    verdict: Mapping[str, Any],
    bench: Mapping[str, Any],
    report: Callable[[Mapping[str, Any]], str],
    golden_inputs: Sequence[Array],
    versions: Mapping[str, str],
    force: bool = False,
    device: Mapping[str, Any] | None = None,
    recovery: Mapping[str, Any] | None = None,
) -> Path:
    """Write a bundle aside and put it in its place whole.

    Args:
        destination: The folder to make.
        source: The float reference.
        artifacts: The model files, one a format.
        recipe: How they were asked for.
        verdict: The content of verdict.json.
        bench: The content of bench.json.
        report: Makes the content of report.html from that of manifest.json.
        golden_inputs: One array a model input, float32 [N, ...], ready for the
            model; a few are enough. Their outputs are computed here with the
            runtime that ships.
        versions: Package -> version, of the tools that made the artifacts.
        force: A bundle that is there is replaced, once the new one is complete.
        device: What it was made for, as manifest.json has it; None for no device.
        recovery: The content of recovery.json; None where nothing was searched for.

    Returns:
        ``destination``.

    Raises:
        UsageError: Something is at ``destination`` that may not be replaced.
        HostFailure: The disk is full or read-only; nothing is left behind.
    """
    golden, tolerance = make_golden(artifacts, golden_inputs)
    described = build_manifest(source, artifacts, recipe, tolerance, versions, device)
    manifest = json_bytes(described)
    parse_manifest(manifest)  # what the device would refuse must not ship
    files = {
        MANIFEST_FILE: manifest,
        "recipe.toml": recipe_to_text(recipe).encode(),
        "infer.py": build_infer_script().encode(),
        "golden.npz": golden,
        "verdict.json": json_bytes(verdict),
        "bench.json": json_bytes(bench),
        "report.html": report(described).encode(),
        "README.md": build_card(source, artifacts, recipe, verdict, device).encode(),
        **_model_files(artifacts),
    }
    if recovery is not None:
        files["recovery.json"] = json_bytes(recovery)
    if source.labels:
        files["labels.txt"] = labels_text(source.labels).encode()
    files[SUMS_FILE] = _sums(files)
    return write_folder(destination, files, force=force)


def _model_files(artifacts: Sequence[Artifact]) -> dict[str, bytes]:
    files = {}
    for artifact in artifacts:
        name = artifact_file(artifact.format)
        data = artifact.path.read_bytes()
        if name in files or hashlib.sha256(data).hexdigest() != artifact.sha256:
            raise InternalError(f"The artifact for {name} is there twice, or was changed.")
        files[name] = data
        # Weights that don't fit into an ONNX file lie beside it.
        beside = artifact.path.with_name(f"{artifact.path.name}.data")
        if beside.is_file():
            files[f"{name}.data"] = beside.read_bytes()
    return files


def _sums(files: Mapping[str, bytes]) -> bytes:
    """As ``sha256sum`` writes it, so that ``sha256sum -c SHA256SUMS`` checks a bundle too."""
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "".join(lines).encode()


def labels_text(labels: Sequence[str]) -> str:
    """The content of labels.txt: one class name a line, in the order of the indices.

    A line end or control character in a name would shift the classes below it
    or steer a terminal; it becomes a space.
    """
    return "".join(f"{_clean(label)}\n" for label in labels)


def _clean(label: str) -> str:
    return " ".join(UNSAFE_TEXT.sub(" ", label).split())
