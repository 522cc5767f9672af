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

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from edgeconv.errors import EdgeconvError, MissingDependency, RefusedInput, Unsupported
from edgeconv.runtime.gpu import missing_library, preload_libraries, tensorrt_options, who_brings
from edgeconv.runtime.matching import first_line
from edgeconv.runtime.quiet import quiet_stderr

__all__ = ["DEVICES", "Place", "Started", "start_session", "why_not"]

#: Device -> what is tried, in this order.
DEVICES = {
    "cpu": ("cpu",),
    "cuda": ("cuda",),
    "tensorrt": ("tensorrt",),
    "gpu": ("tensorrt", "cuda"),
}

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
    "then pip install 'onnxruntime-gpu[cuda,cudnn]' 'tensorrt<11'",
}
_OR_FALL_BACK = "or accept another device with --allow-fallback."


class Place(NamedTuple):
    """Where a model file is to run.

    Attributes:
        threads: Of one inference on the CPU.
        device: A key of ``DEVICES``.
        allow_fallback: Take the CPU, for the whole model or for the operators that the
            device lacks, and say so in a note.
        half: The file holds float16, which TensorRT wants to be told.
        profile: Start of the name of the file that ONNX Runtime traces its operators
            into; "" for no trace.
    """

    threads: int = 1
    device: str = "cpu"
    allow_fallback: bool = False
    half: bool = False
    profile: str = ""


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
    library: Any, data: bytes, place: Place, files: Optional[Mapping[str, bytes]] = None
) -> Started:
    """Open an ONNX file on the first of the wished devices that takes all of it.

    Args:
        library: The module ``onnxruntime``.
        data: The whole file.
        place: Where.
        files: Name -> content of the files that its weights lie in, where not in it.

    Raises:
        MissingDependency: The device's provider is not there or does not start.
        Unsupported: The device, or ONNX Runtime, lacks an operator of the model.
        RefusedInput: The file is corrupt.
    """
    wishes = DEVICES[place.device]
    others = [d for d in ("cuda", "cpu") if "tensorrt" in wishes or d == "cpu"]
    others = [d for d in others if d not in wishes] if place.allow_fallback else []
    failure: Optional[EdgeconvError] = None
    for device in (*wishes, *others):
        try:
            started = _start(library, data, place._replace(device=device), files or {})
        except (MissingDependency, Unsupported) as error:
            failure = error
            continue
        if failure is not None and device in others:
            note = f"{failure.message} It runs on {_DEVICE_TITLES[device]} instead."
            return started._replace(note=f"{note} {started.note}".strip())
        return started
    assert failure is not None
    raise failure


def why_not(library: Any, device: str) -> str:
    """What a device lacks on this machine, as one sentence; "" where its libraries load.

    Args:
        library: The module ``onnxruntime``.
        device: ``cuda`` or ``tensorrt``.
    """
    try:
        _demand_provider(library, device)
    except MissingDependency as error:
        return error.message
    return ""


def _start(library: Any, data: bytes, place: Place, files: Mapping[str, bytes]) -> Started:
    title = _DEVICE_TITLES[place.device]
    if place.device != "cpu":
        _demand_provider(library, place.device)
    session = _session(library, data, place, files)
    # With this on, an error in the middle of a run would move the model to the CPU.
    session.disable_fallback()
    if _PROVIDERS[place.device][0] not in session.get_providers():
        raise MissingDependency(
            f"{title} did not start in ONNX Runtime {library.__version__}.",
            f"See that the driver and CUDA work (nvidia-smi), {_OR_FALL_BACK}",
        )
    note = _note(session, place.device)
    if note and not place.allow_fallback:
        raise Unsupported(
            f"{title} can't run all of the model: {note}",
            "Accept the CPU for the rest with --allow-fallback.",
        )
    return Started(session, place.device, note)


def _session(library: Any, data: bytes, place: Place, files: Mapping[str, bytes]) -> Any:
    options = library.SessionOptions()
    options.intra_op_num_threads = place.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    options.use_deterministic_compute = True
    if place.profile:
        options.enable_profiling = True
        options.profile_file_prefix = place.profile
    if place.device != "cpu":
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        if not _tells_assignment(library.InferenceSession) and not place.allow_fallback:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if files:
        _add_files(options, files)
    try:
        with quiet_stderr():
            return library.InferenceSession(
                data,
                sess_options=options,
                providers=_with_options(data, place),
                enable_fallback=0,
            )
    except Exception as error:  # ONNX Runtime's exceptions share no base class but Exception
        raise _named(error, place.device) from error


def _add_files(options: Any, files: Mapping[str, bytes]) -> None:
    if not hasattr(options, "add_external_initializers_from_files_in_memory"):
        raise MissingDependency(
            "This ONNX Runtime opens no weights that lie beside a model.",
            "Install a newer one: pip install -U onnxruntime",
        )
    options.add_external_initializers_from_files_in_memory(
        list(files), list(files.values()), [len(content) for content in files.values()]
    )


def _with_options(data: bytes, place: Place) -> list[Any]:
    options: dict[str, dict[str, Any]] = {}
    if place.device == "tensorrt":
        options[_TENSORRT] = tensorrt_options(data, place.half)
    # By default CUDA rounds float32 factors to 10 bits: parity was shown without that.
    options[_CUDA] = {"use_tf32": 0}
    return [(name, options[name]) if name in options else name for name in _PROVIDERS[place.device]]


def _tells_assignment(session: Any) -> bool:
    """Whether this ONNX Runtime (1.24 or later) can tell which operator runs where."""
    return hasattr(session, "get_provider_graph_assignment_info")


def _named(error: Exception, device: str) -> EdgeconvError:
    cause = first_line(error)
    if "disable" in cause and "CPU EP" in cause:
        return Unsupported(
            f"{_DEVICE_TITLES[device]} did not start, or can't run all of the model's operators.",
            "See that the driver works (nvidia-smi), or accept the CPU with --allow-fallback.",
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
    preload_libraries(library, device)
    missing = missing_library(library, device)
    if missing:
        raise MissingDependency(
            f"{_DEVICE_TITLES[device]} can't start: the library {missing} is missing.",
            f"{who_brings(missing)}, {_OR_FALL_BACK}",
        )


def _note(session: Any, device: str) -> str:
    """What runs on the CPU though a GPU was asked for, as a sentence; mostly ""."""
    if device == "cpu" or not _tells_assignment(session):
        return ""
    operators: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        if part.ep_name == _CPU:
            operators.update(node.op_type for node in part.get_nodes())
    if not operators:
        return ""
    kinds = ", ".join(sorted(operators))[:200]
    return f"{sum(operators.values())} operators run on the CPU: {kinds}."
