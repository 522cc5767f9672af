"""``edgeconv doctor``: is this machine fit for the job?"""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from typing import Any

from edgeconv import __version__
from edgeconv.cli.console import Console

HELP = "check this machine's packages and engines"

_CONVERT = ("tensorflow-cpu", "tensorflow", "keras", "tf2onnx", "onnx", "ai-edge-quantizer")
_ENGINES = ("ai-edge-litert", "tflite-runtime", "onnxruntime", "onnxruntime-gpu")


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def run(args: argparse.Namespace, console: Console) -> int:
    """Print versions and problems; exit 5 where something is missing or clashes."""
    versions = {name: _version(name) for name in (*_CONVERT, *_ENGINES, "numpy", "pillow")}
    problems = find_problems(versions)
    if console.as_json:
        report: dict[str, Any] = {"schema_version": 1, "edgeconv": __version__}
        console.result(report | {"packages": versions, "problems": problems})
    else:
        console.print(f"edgeconv {__version__}, Python {sys.version.split()[0]}")
        for name, version in versions.items():
            console.print(f"  {name:<18} {version or '-'}")
        for problem in problems:
            console.print(f"! {problem}")
        if not problems:
            console.print("All is well: this machine converts, and runs both formats.")
    return 5 if problems else 0


def find_problems(versions: dict[str, str | None]) -> list[str]:
    """Say what is missing or clashes, a sentence each.

    Args:
        versions: Package name -> version, None where it is not installed.
    """
    problems = []
    if versions["onnxruntime"] and versions["onnxruntime-gpu"]:
        problems.append(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; "
            "uninstall both, then install the one you want."
        )
    if not (versions["tensorflow"] or versions["tensorflow-cpu"]):
        problems.append("TensorFlow is missing, so nothing can be exported: install [convert].")
    for name in ("tf2onnx", "onnx", "ai-edge-quantizer"):
        if not versions[name]:
            problems.append(f"{name} is missing, so nothing can be exported: install [convert].")
    if not (versions["ai-edge-litert"] or versions["tflite-runtime"]):
        problems.append("No TFLite engine: install edgeconv[litert].")
    if not (versions["onnxruntime"] or versions["onnxruntime-gpu"]):
        problems.append("No ONNX engine: install edgeconv[onnx] or edgeconv[gpu].")
    numpy = versions["numpy"] or ""
    if versions["tflite-runtime"] and not numpy.startswith("1."):
        problems.append(f"tflite-runtime needs NumPy 1.x, but {numpy} is installed.")
    return problems


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
