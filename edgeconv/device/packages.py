"""Which packages this machine has, and which of them clash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from importlib.util import find_spec

from edgeconv.errors import EdgeconvError, MissingDependency
from edgeconv.types import Format

__all__ = ["devices_here", "find_problems", "installed", "refuse_clash", "refuse_missing"]

_PACKAGES = (
    "tensorflow-cpu", "tensorflow", "keras", "tf2onnx", "onnx", "ai-edge-quantizer",
    "ai-edge-litert", "tflite-runtime", "onnxruntime", "onnxruntime-gpu", "numpy", "pillow",
    "matplotlib",
)  # fmt: skip
#: Modules, since TensorFlow comes in packages of several names.
_LOADING = ("tensorflow", "keras")
_CONVERTING: dict[Format, tuple[str, ...]] = {
    "tflite": ("ai_edge_quantizer", "ai_edge_litert"),
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
}
_CLASH = "onnxruntime and onnxruntime-gpu are both installed and overwrite each other"


def installed() -> dict[str, str | None]:
    """Package -> version, None where it is not installed."""
    return {name: _version(name) for name in _PACKAGES}


def devices_here() -> dict[str, str]:
    """Device of ONNX Runtime -> why it can't be used here; "" where it can.

    The GPUs' libraries are loaded for it, but no model: a driver that is too old shows
    only when one starts.
    """
    if find_spec("onnxruntime") is None:
        return {}
    from edgeconv.runtime.engines import load_engine
    from edgeconv.runtime.providers import why_not

    try:
        library = load_engine("onnxruntime")
    except EdgeconvError as error:
        return {"cpu": error.message}
    return {"cpu": "", **{device: why_not(library, device) for device in ("cuda", "tensorrt")}}


def refuse_clash() -> None:
    """Refuse to work with an ONNX Runtime that is half another one.

    Raises:
        MissingDependency: Both packages are installed.
    """
    if _version("onnxruntime") and _version("onnxruntime-gpu"):
        raise MissingDependency(
            f"{_CLASH}.",
            "pip uninstall onnxruntime onnxruntime-gpu, then install the one you want.",
        )


def refuse_missing(formats: Iterable[Format]) -> None:
    """Refuse to begin an export that would stop for want of a package.

    Args:
        formats: To be made.

    Raises:
        MissingDependency: Something that converts to them is not installed.
    """
    wanted = [*_LOADING, *(module for format in formats for module in _CONVERTING[format])]
    missing = [module for module in wanted if find_spec(module) is None]
    if missing:
        names = ", ".join(module.replace("_", "-") for module in missing)
        raise MissingDependency(
            f"Nothing can be exported without {names}.", "pip install 'edgeconv[convert]'"
        )


def find_problems(versions: Mapping[str, str | None]) -> list[str]:
    """What is missing or clashes, a sentence each.

    Args:
        versions: As ``installed`` returns them.
    """
    problems = []
    if versions["onnxruntime"] and versions["onnxruntime-gpu"]:
        problems.append(f"{_CLASH}; uninstall both, then install the one you want.")
    missing = [n for n in ("keras", "tf2onnx", "onnx", "ai-edge-quantizer") if not versions[n]]
    if not (versions["tensorflow"] or versions["tensorflow-cpu"]):
        missing.insert(0, "tensorflow")
    if missing:
        names = ", ".join(missing)
        problems.append(f"Nothing can be exported without {names}: pip install edgeconv[convert].")
    if not (versions["ai-edge-litert"] or versions["tflite-runtime"]):
        problems.append("No TFLite engine: pip install edgeconv[litert].")
    if not (versions["onnxruntime"] or versions["onnxruntime-gpu"]):
        problems.append("No ONNX engine: pip install edgeconv[onnx] or edgeconv[gpu].")
    if versions["tflite-runtime"] and not (versions["numpy"] or "").startswith("1."):
        problems.append(f"tflite-runtime needs NumPy 1.x, but {versions['numpy']} is installed.")
    return problems


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
