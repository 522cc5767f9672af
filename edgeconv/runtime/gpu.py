"""What CUDA and TensorRT need beside ONNX Runtime: shared libraries, and a cache of engines."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import os
import stat
import sys
from pathlib import Path
from typing import Any

from edgeconv.errors import HostFailure, RefusedInput

__all__ = [
    "CACHE_VARIABLE",
    "engine_cache",
    "missing_library",
    "preload_libraries",
    "tensorrt_options",
    "who_brings",
]

#: Where TensorRT keeps the engines that it built; by default the user's cache folder.
CACHE_VARIABLE = "EDGECONV_ENGINE_CACHE"

#: Start of a missing library's name -> what brings it.
_BRINGS = {
    "libcuda.": "Install the NVIDIA driver",
    "libcudnn": "pip install 'onnxruntime-gpu[cudnn]'",
    "libcu": "pip install 'onnxruntime-gpu[cuda]'",
    "libnv": "pip install 'onnxruntime-gpu[cuda]'",
}


def who_brings(library: str) -> str:
    """How a missing shared library is installed.

    Args:
        library: Such as ``libnvinfer.so.10``: ONNX Runtime 1.31 wants TensorRT 10, and
            the newest on PyPI is 11.
    """
    if library.startswith(("libnvinfer", "libnvonnxparser")):
        major = library.rpartition(".")[2]
        below = f"<{int(major) + 1}" if major.isdecimal() else ""
        return f"pip install 'tensorrt{below}'"
    return next((how for start, how in _BRINGS.items() if library.startswith(start)), "Install it")


def preload_libraries(library: Any, device: str) -> None:
    """Load CUDA, cuDNN and TensorRT from where pip puts them, which no loader looks into.

    Args:
        library: The module ``onnxruntime``.
        device: ``cuda`` or ``tensorrt``.
    """
    # It prints what it misses; missing_library tells by name.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
        library.preload_dlls()
    if device == "tensorrt":
        # TensorRT's package loads its libraries as it is imported.
        with contextlib.suppress(Exception):
            importlib.import_module("tensorrt_libs")


def missing_library(library: Any, device: str) -> str:
    """Name of the first shared library that a provider needs and that isn't there, or ""."""
    if not sys.platform.startswith("linux"):
        return ""
    import ctypes  # 5 ms that a CPU doesn't need

    folder = Path(library.__file__).parent / "capi"
    needed = ["libcuda.so.1", folder / f"libonnxruntime_providers_{device}.so"]
    for name in needed:
        if isinstance(name, Path) and not name.is_file():
            continue  # built in, or built otherwise: get_providers will tell
        try:
            ctypes.CDLL(str(name))
        except OSError as error:
            found = str(error).partition(":")[0]
            if ".so" in found and "cannot open" in str(error):
                return Path(found).name
    return ""


def tensorrt_options(data: bytes, half: bool) -> dict[str, Any]:
    """Options of ONNX Runtime's TensorRT provider for one ONNX file.

    Args:
        data: The whole file.
        half: It holds float16.

    Raises:
        EdgeconvError: As ``engine_cache``.
    """
    folder = str(engine_cache(data))
    return {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": folder,
        # "Int8 precision has been set for a layer, but int8 is not configured in the builder"
        # (onnxruntime issue 13381); set without such layers, it asks for a calibration table.
        "trt_int8_enable": b"QuantizeLinear" in data,
        # Never for float32 files: TensorRT would compute them in float16.
        "trt_fp16_enable": half,
    }


def engine_cache(data: bytes) -> Path:
    """The folder of one model's TensorRT engines, made where it is absent.

    One folder a model: ONNX Runtime names an engine after the graph's tensors,
    which two models that differ in their weights only have in common.

    Raises:
        RefusedInput: Others may write there; an engine is a program.
        HostFailure: It can't be made.
    """
    base = os.environ.get(CACHE_VARIABLE)
    if not base:
        home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
        base = str(Path(home) / "edgeconv" / "tensorrt")
    folder = Path(base) / hashlib.sha256(data).hexdigest()[:32]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise HostFailure(
            f"The engine cache {folder} can't be made: {error.strerror}.",
            f"Name another folder in {CACHE_VARIABLE}.",
        ) from error
    foreign = hasattr(os, "getuid") and status.st_uid != os.getuid()
    if foreign or (os.name == "posix" and status.st_mode & stat.S_IWOTH):
        raise RefusedInput(
            f"Others may write to the engine cache {folder}.",
            f"Name a folder of your own in {CACHE_VARIABLE}.",
        )
    return folder
