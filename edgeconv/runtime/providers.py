"""Where an ONNX model runs: the CPU, CUDA or TensorRT, and never another place unseen.

    cpu       CPUExecutionProvider
    cuda      CUDAExecutionProvider
    tensorrt  TensorrtExecutionProvider, CUDA for the operators that it lacks
    gpu       as tensorrt where that starts, else as cuda

ONNX Runtime goes over to the CPU without a word where a provider does not
start, where one lacks an operator, and where one fails while it runs. Here each
of them is an error unless the caller allowed it.
Source: onnxruntime_inference_collection.py (``enable_fallback``) and
onnxruntime_session_options_config_keys.h (``session.disable_cpu_ep_fallback``).
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
import os
import stat
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, Optional

from edgeconv.errors import EdgeconvError, HostFailure, MissingDependency, RefusedInput, Unsupported
from edgeconv.runtime.matching import first_line
from edgeconv.runtime.quiet import quiet_stderr

__all__ = ["CACHE_VARIABLE", "DEVICES", "Started", "engine_cache", "start_session"]

#: Device -> what is tried, in this order.
DEVICES = {
    "cpu": ("cpu",),
    "cuda": ("cuda",),
    "tensorrt": ("tensorrt",),
    "gpu": ("tensorrt", "cuda"),
}
#: Where TensorRT keeps the engines that it built; by default the user's cache folder.
CACHE_VARIABLE = "EDGECONV_ENGINE_CACHE"

_CPU, _CUDA, _TENSORRT = (
    "CPUExecutionProvider",
    "CUDAExecutionProvider",
    "TensorrtExecutionProvider",
)
_PROVIDERS = {"cpu": (_CPU,), "cuda": (_CUDA,), "tensorrt": (_TENSORRT, _CUDA)}
_DEVICE_TITLES = {"cpu": "the CPU", "cuda": "CUDA", "tensorrt": "TensorRT"}
_INSTALL = {
    "cuda": "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'",
    "tensorrt": "pip uninstall onnxruntime, "
    "then pip install 'onnxruntime-gpu[cuda,cudnn]' tensorrt",
}
#: Start of a missing library's name -> what brings it.
_BRINGS = {
    "libcuda.": "Install the NVIDIA driver",
    "libcudnn": "pip install 'onnxruntime-gpu[cudnn]'",
    "libnvinfer": "pip install tensorrt",
    "libnvonnxparser": "pip install tensorrt",
    "libcu": "pip install 'onnxruntime-gpu[cuda]'",
    "libnv": "pip install 'onnxruntime-gpu[cuda]'",
}
_OR_FALL_BACK = "or accept another device with --allow-fallback."


class Started(NamedTuple):
    """A session, and where it really runs.

    Attributes:
        session: ``onnxruntime.InferenceSession``.
        device: ``cpu``, ``cuda`` or ``tensorrt``.
        note: Why it is not all that was asked for, as one sentence; mostly "".
    """

    session: Any
    device: str
    note: str


def start_session(
    library: Any, data: bytes, threads: int, device: str = "cpu", allow_fallback: bool = False
) -> Started:
    """Open an ONNX file on the first of the wished devices that takes all of it.

    Args:
        library: The module ``onnxruntime``.
        data: The whole file.
        threads: Of one inference on the CPU.
        device: A key of ``DEVICES``.
        allow_fallback: Take the CPU, for the whole model or for the operators that the
            device lacks, and say so in the note.

    Raises:
        MissingDependency: The device's provider is not there or does not start.
        Unsupported: The device, or ONNX Runtime, lacks an operator of the model.
        RefusedInput: The file is corrupt.
    """
    failure: Optional[EdgeconvError] = None
    for wish in DEVICES[device]:
        try:
            return _start(library, data, threads, wish, allow_fallback)
        except (MissingDependency, Unsupported) as error:
            if wish == "cpu":
                raise
            failure = error
    assert failure is not None
    if not allow_fallback:
        raise failure
    session, _, _ = _start(library, data, threads, "cpu", False)
    return Started(session, "cpu", f"{failure.message} The CPU runs the model instead.")


def _start(library: Any, data: bytes, threads: int, device: str, lenient: bool) -> Started:
    if device != "cpu":
        _demand_provider(library, device)
    session = _session(library, data, threads, device, lenient)
    # With this on, an error in the middle of a run would move the model to the CPU.
    session.disable_fallback()
    wanted = _PROVIDERS[device][0]
    if wanted not in session.get_providers():
        raise MissingDependency(
            f"{_DEVICE_TITLES[device]} did not start in ONNX Runtime {library.__version__}.",
            f"{_INSTALL[device]}; {_OR_FALL_BACK}",
        )
    return Started(session, device, _note(session, device) if lenient else "")


def _session(library: Any, data: bytes, threads: int, device: str, lenient: bool) -> Any:
    options = library.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    options.use_deterministic_compute = True
    providers: list[Any] = list(_PROVIDERS[device])
    if device == "tensorrt":
        providers[0] = (_TENSORRT, _tensorrt_options(data))
    if device != "cpu" and lenient:
        providers.append(_CPU)
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    elif device != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        with quiet_stderr():
            return library.InferenceSession(
                data, sess_options=options, providers=providers, enable_fallback=0
            )
    except Exception as error:  # ONNX Runtime's exceptions share no base class but Exception
        raise _named(error, device) from error


def _named(error: Exception, device: str) -> EdgeconvError:
    cause = first_line(error)
    if "disable" in cause and "CPU EP" in cause:
        return Unsupported(
            f"{_DEVICE_TITLES[device]} can't run all of this model's operators.",
            "Accept the CPU for the others with --allow-fallback.",
        )
    if type(error).__name__ == "NotImplemented" or "not a registered function/op" in cause:
        return Unsupported(
            f"ONNX Runtime lacks an operator of this model: {cause}",
            "Install a newer one: pip install -U onnxruntime",
        )
    if device != "cpu" and type(error).__name__ not in ("InvalidProtobuf", "InvalidGraph"):
        return MissingDependency(
            f"{_DEVICE_TITLES[device]} did not start: {cause}", _INSTALL[device]
        )
    return RefusedInput(f"The ONNX file can't be opened: {cause}", "Copy or export it again.")


def _demand_provider(library: Any, device: str) -> None:
    """Raise what is missing, by name, before ONNX Runtime passes over it.

    Raises:
        MissingDependency: The package, a library of CUDA, or the driver.
    """
    wanted = _PROVIDERS[device][0]
    if wanted not in library.get_available_providers():
        raise MissingDependency(
            f"The ONNX Runtime {library.__version__} installed here is built without "
            f"{_DEVICE_TITLES[device]}.",
            f"{_INSTALL[device]}; {_OR_FALL_BACK}",
        )
    # Finds CUDA and cuDNN where pip puts them, and prints what it misses.
    if hasattr(library, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            library.preload_dlls()
    missing = _missing_library(library, device)
    if missing:
        remedy = next((how for start, how in _BRINGS.items() if missing.startswith(start)), "")
        raise MissingDependency(
            f"{_DEVICE_TITLES[device]} can't start: the library {missing} is missing.",
            f"{remedy or 'Install it'}, {_OR_FALL_BACK}",
        )


def _missing_library(library: Any, device: str) -> str:
    """Name of the first shared library that a provider needs and that isn't there, or ""."""
    if not sys.platform.startswith("linux"):
        return ""
    folder = Path(library.__file__).parent / "capi"
    needed = [folder / f"libonnxruntime_providers_{device}.so", "libcuda.so.1"]
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


def _note(session: Any, device: str) -> str:
    """What runs elsewhere than asked, as a sentence; "" where nothing does or nobody can tell."""
    if not hasattr(session, "get_provider_graph_assignment_info"):  # ONNX Runtime before 1.24
        return ""
    operators: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        if part.ep_name == _CPU:
            operators.update(node.op_type for node in part.get_nodes())
    if not operators:
        return ""
    kinds = ", ".join(sorted(operators))[:200]
    count, title = sum(operators.values()), _DEVICE_TITLES[device]
    return f"{count} operators that {title} lacks run on the CPU: {kinds}."


def _tensorrt_options(data: bytes) -> dict[str, Any]:
    folder = str(engine_cache(data))
    return {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": folder,
        # Without it TensorRT refuses a graph with QuantizeLinear nodes; with it and
        # without them it asks for a calibration table.
        "trt_int8_enable": b"QuantizeLinear" in data,
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
