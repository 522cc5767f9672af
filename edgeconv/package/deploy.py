"""A bundle in the form that a kind of device wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, get_args

from edgeconv.errors import EdgeconvError, RefusedInput, Unsupported
from edgeconv.package.folder import write_folder
from edgeconv.package.micro import c_array_files
from edgeconv.package.triton import triton_files
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.manifest import MANIFEST_FILE, ArtifactEntry, Manifest
from edgeconv.runtime.session import read_manifest
from edgeconv.types import Format

__all__ = ["LAYOUTS", "Layout", "deploy"]

Layout = Literal["triton", "c-array"]
LAYOUTS: Final[tuple[Layout, ...]] = get_args(Layout)

_FORMATS: Final[dict[Layout, Format]] = {"triton": "onnx", "c-array": "tflite"}


def deploy(bundle: Path, layout: Layout, output: Path | None, *, force: bool) -> Path:
    """Write ``bundle`` in another layout.

    Args:
        bundle: The folder.
        layout: ``triton`` for a model repository, ``c-array`` for C source.
        output: Folder to write; None for ``./NAME-LAYOUT``.
        force: A folder that holds nothing but the same files is replaced.

    Returns:
        The folder.

    Raises:
        UsageError: There is no such bundle, or something is in the way.
        RefusedInput: The bundle is damaged.
        Unsupported: Its model can't be run there, or is of the other format.
        HostFailure: The folder can't be written.
    """
    folder = SealedFolder(bundle)
    manifest = read_manifest(folder)
    artifact = _artifact(manifest, layout)
    content = folder.read(artifact.file)
    if folder.sums[artifact.file] != artifact.sha256:
        raise RefusedInput(f"{artifact.file} is not the file that {MANIFEST_FILE} describes.")
    try:
        files = _files(folder, manifest, artifact, content, layout)
    except EdgeconvError:
        raise
    except Exception as error:  # whatever a stranger's tables make the reader raise
        raise RefusedInput(f"{bundle / artifact.file} is damaged.", "Export it again.") from error
    destination = output or Path(f"{_folder_name(manifest)}-{layout}")
    return write_folder(destination, files, force=force, known=tuple(files))


def _artifact(manifest: Manifest, layout: Layout) -> ArtifactEntry:
    wanted = _FORMATS[layout]
    for artifact in manifest.artifacts:
        if artifact.format == wanted:
            return artifact
    raise Unsupported(
        f"The bundle has no {wanted} model, which {layout} needs.",
        f"Export the model again with --format {wanted}.",
    )


def _files(
    folder: SealedFolder,
    manifest: Manifest,
    artifact: ArtifactEntry,
    content: bytes,
    layout: Layout,
) -> dict[str, bytes]:
    if layout == "c-array":
        return c_array_files(manifest, artifact, content)
    labels = None if manifest.labels is None else folder.read(manifest.labels)
    name = _folder_name(manifest)
    files = triton_files(name, manifest, artifact, content, labels)
    return {f"{name}/{path}": data for path, data in files.items()}


def _folder_name(manifest: Manifest) -> str:
    """The model's name, which a stranger chose, as one harmless path component."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "_" for c in manifest.name)
    return kept.lstrip(".-")[:100] or "model"
