"""A bundle's ONNX file as a Triton model repository.

    NAME/config.pbtxt      what the server has to know, in protobuf's text form
    NAME/labels.txt        class names, where there are any
    NAME/1/model.onnx      version 1

Source: Triton Inference Server's model_config.proto and its model repository layout.
"""

from __future__ import annotations

from typing import Final

from edgeconv.errors import Unsupported
from edgeconv.runtime.manifest import ArtifactEntry, Manifest
from edgeconv.types import TensorSpec

__all__ = ["triton_files"]

_TYPES: Final = {
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "int8": "TYPE_INT8",
    "uint8": "TYPE_UINT8",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "bool": "TYPE_BOOL",
}
#: Enough to fill a GPU with a mobile-class model; the server batches up to it.
_MOST_ITEMS: Final = 32
#: How long a request may wait for others to share its batch.
_QUEUE_MICROSECONDS: Final = 1000
_LABELS: Final = "labels.txt"


def triton_files(
    name: str, manifest: Manifest, artifact: ArtifactEntry, content: bytes, labels: bytes | None
) -> dict[str, bytes]:
    """The repository of one model.

    Args:
        name: Of the model's folder.
        manifest: Of the bundle.
        artifact: The ONNX file's entry.
        content: The file.
        labels: Content of labels.txt, or None.

    Returns:
        Path below the model's folder -> content.

    Raises:
        Unsupported: The file has no free batch axis, or a type that Triton lacks.
    """
    for spec in (*artifact.inputs, *artifact.outputs):
        if not spec.shape or spec.shape[0] is not None or spec.dtype not in _TYPES:
            raise Unsupported(
                f"{artifact.file} has a tensor {spec.name!r} that Triton can't batch.",
                "Export the model with edgeconv export --format onnx.",
            )
    config = _config(name, manifest, artifact, labelled=labels is not None)
    files = {"config.pbtxt": config.encode(), "1/model.onnx": content}
    if labels is not None:
        files[_LABELS] = labels
    return files


def _config(name: str, manifest: Manifest, artifact: ArtifactEntry, *, labelled: bool) -> str:
    inputs = ",\n".join(_tensor(spec) for spec in artifact.inputs)
    outputs = ",\n".join(
        _tensor(spec, _LABELS if labelled and index == 0 else "")
        for index, spec in enumerate(artifact.outputs)
    )
    notes = {
        "activation": manifest.activation,
        "precision": artifact.precision,
        "sha256": artifact.sha256,
    }
    parameters = "".join(
        f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}\n"
        for key, value in notes.items()
    )
    return (
        f"name: {_quoted(name)}\n"
        'platform: "onnxruntime_onnx"\n'
        'default_model_filename: "model.onnx"\n'
        f"max_batch_size: {_MOST_ITEMS}\n"
        f"input [\n{inputs}\n]\n"
        f"output [\n{outputs}\n]\n"
        f"dynamic_batching {{ max_queue_delay_microseconds: {_QUEUE_MICROSECONDS} }}\n"
        "instance_group [ { kind: KIND_AUTO count: 1 } ]\n"
        f"{parameters}"
    )


def _tensor(spec: TensorSpec, labels: str = "") -> str:
    """One entry; the batch axis is Triton's own."""
    dims = ", ".join("-1" if length is None else str(length) for length in spec.shape[1:])
    label = f" label_filename: {_quoted(labels)}" if labels else ""
    kind = _TYPES[spec.dtype]
    return f"  {{ name: {_quoted(spec.name)} data_type: {kind} dims: [ {dims} ]{label} }}"


def _quoted(text: str) -> str:
    """A string of protobuf's text form: UTF-8 bytes, all but plain ASCII as octal."""
    return '"' + "".join(_escaped(byte) for byte in text.encode()) + '"'


def _escaped(byte: int) -> str:
    plain = 0x20 <= byte < 0x7F and byte not in b'"\\'
    return chr(byte) if plain else f"\\{byte:03o}"
