"""Versions of the packages that made a bundle."""

from __future__ import annotations

from importlib import metadata

from edgeconv import __version__

__all__ = ["tool_versions"]

_PACKAGES = (
    "tensorflow", "tensorflow-cpu", "keras", "tf2onnx", "onnx", "onnxruntime",
    "ai-edge-litert", "ai-edge-quantizer", "numpy", "pillow",
)  # fmt: skip


def tool_versions() -> dict[str, str]:
    """Package -> version, of those that are installed and may change the bytes."""
    found = {"edgeconv": __version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
