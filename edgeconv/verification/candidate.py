"""The candidate: a bundle or a bare model file, opened to be verified.

A bundle says everything about itself. A bare file says only its tensors: how its
inputs are made and what its classes are called is then the reference's to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from edgeconv.errors import EdgeconvError, RefusedInput, UsageError
from edgeconv.package.read_model import describe_file, model_bytes
from edgeconv.pictures import printable
from edgeconv.runtime.answers import read_labels
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.engines import Model, open_model
from edgeconv.runtime.manifest import ArtifactEntry, Manifest
from edgeconv.runtime.session import open_artifact, read_manifest
from edgeconv.types import (
    Activation,
    Artifact,
    Format,
    Precision,
    Recipe,
    SourceModel,
    Task,
)

__all__ = ["Candidate", "is_bundle", "read_candidate"]

_MAX_LABEL_BYTES = 4 << 20
#: A folder with neither is no damaged bundle, but something else.
_MARKS = ("manifest.json", "SHA256SUMS")
_SUFFIXES = (".tflite", ".onnx")
_HEADS: Mapping[str, Activation] = {
    "SOFTMAX": "softmax",
    "Softmax": "softmax",
    "LOGISTIC": "sigmoid",
    "Sigmoid": "sigmoid",
}


@dataclass(frozen=True)
class Candidate:
    """What is to be verified.

    Attributes:
        name: Of the bundle, or the file's.
        entries: The artifacts, each open in its engine.
        source: How a bundle feeds its models and what their outputs mean; None
            for a bare file, which doesn't say.
        keeps_head: The final softmax or sigmoid is inside the files, so the
            reference has to keep its own.
        labels: Class names by index; empty where there are none.
        provenance: What a bundle says that it was made from; empty for a file.
    """

    name: str
    entries: tuple[tuple[Artifact, Model], ...]
    source: SourceModel | None
    keeps_head: bool
    labels: tuple[str, ...] = ()
    provenance: Mapping[str, Any] | None = None


def is_bundle(path: Path) -> bool:
    """Whether ``path`` is a folder with a bundle's manifest, and no SavedModel."""
    return path.is_dir() and (path / "manifest.json").is_file()


def read_candidate(path: Path, folder: Path) -> Candidate:
    """Open a bundle, a .tflite or an .onnx file.

    Args:
        path: The candidate.
        folder: Scratch; a bare file is copied there once, so that what was
            checked is what is run.

    Raises:
        UsageError: Nothing is there, or it is none of these.
        RefusedInput: It is damaged, or not what its checksums say.
        MissingDependency: An engine for one of its files is not installed.
        Unsupported: An engine lacks an operator.
    """
    if path.is_dir() and any((path / name).exists() for name in _MARKS):
        return _read_bundle(path)
    if not path.is_file() or path.suffix.lower() not in _SUFFIXES:
        what = "is no bundle, .tflite or .onnx file" if path.exists() else "does not exist"
        raise UsageError(
            f"{printable(path)} {what}.",
            "verify takes the folder that export made, or one model file; "
            "the original comes after --against.",
        )
    return _read_file(path, folder)


def _read_bundle(path: Path) -> Candidate:
    folder = SealedFolder(path)
    manifest = read_manifest(folder)
    labels: tuple[str, ...] = ()
    if manifest.labels is not None:
        labels = read_labels(folder.read(manifest.labels, _MAX_LABEL_BYTES))
    entries = tuple(
        (_artifact_of(folder, entry, manifest.recipe), open_artifact(folder, entry))
        for entry in manifest.artifacts
    )
    source = _source_of(manifest, labels)
    keeps = manifest.recipe.get("keep_softmax") is True
    return Candidate(manifest.name, entries, source, keeps, labels, manifest.provenance)


def _source_of(manifest: Manifest, labels: tuple[str, ...]) -> SourceModel:
    return SourceModel(
        name=manifest.name,
        graph=Path(),
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        activation=cast(Activation, manifest.activation),
        task=cast(Task, manifest.task),
        preprocess=manifest.preprocess,
        labels=labels,
        layers=(),
        provenance=manifest.provenance,
    )


def _artifact_of(folder: SealedFolder, entry: ArtifactEntry, told: Mapping[str, Any]) -> Artifact:
    if entry.precision not in get_args(Precision):
        raise RefusedInput(
            f"manifest.json: {entry.precision[:40]!r} is no precision.", "Export the bundle again."
        )
    precision = cast(Precision, entry.precision)
    return Artifact(
        format=cast(Format, entry.format),
        precision=precision,
        path=folder.path / entry.file,
        sha256=entry.sha256,
        size_bytes=entry.size_bytes,
        inputs=entry.inputs,
        outputs=entry.outputs,
        recipe=_recipe_of(precision, told),
        operators=entry.operators,
        float_operators=entry.float_operators,
    )


def _recipe_of(precision: Precision, told: Mapping[str, Any]) -> Recipe:
    """What of a bundle's recipe a verification goes by."""
    passes = told.get("passes")
    listed = passes if isinstance(passes, list) else []
    names = tuple(name for name in listed if isinstance(name, str))
    return Recipe(precision=precision, keep_softmax=told.get("keep_softmax") is True, passes=names)


def _read_file(path: Path, folder: Path) -> Candidate:
    data = model_bytes(path)
    folder.mkdir(exist_ok=True)
    copy = folder / path.name
    copy.write_bytes(data)
    # A child process reads it first: whoever crashes that one doesn't crash us.
    found = _described(copy)
    format = cast(Format, found["format"])
    activation = _HEADS.get(found["head"], "linear")
    precision = _precision(found)
    model = open_model(data, format)
    artifact = Artifact(
        format=format,
        precision=precision,
        path=copy,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        inputs=model.inputs,
        outputs=model.outputs,
        recipe=Recipe(precision=precision, keep_softmax=activation != "linear", passes=()),
        operators=found["operators"],
        float_operators=found["float_operators"] or {},
    )
    return Candidate(path.name, ((artifact, model),), None, activation != "linear")


def _described(copy: Path) -> dict[str, Any]:
    try:
        return describe_file(copy)
    except EdgeconvError as error:
        # It was read in our scratch folder, which nobody knows.
        text = error.message.replace(str(copy), copy.name)
        named = text if copy.name in text else f"{copy.name}: {text}"
        raise type(error)(named, error.hint) from error


def _precision(found: Mapping[str, Any]) -> Precision:
    """What a file is most like; the limits of its metrics depend on it."""
    if found["weights"] not in ("int8", "uint8", "int4", "uint4"):
        return "fp16" if found["weights"] == "float16" else "fp32"
    operators, in_float = found["operators"], found["float_operators"]
    if in_float is None or sum(in_float.values()) >= sum(operators.values()) / 2:
        return "dynamic"
    wide = any("int16" in tensor["dtype"] for tensor in found["inputs"] + found["outputs"])
    return "int16x8" if wide else "int8"
