"""The engines that run a model file, behind one door: ``open_model``.

Files are opened from bytes, never from a path: LiteRT's path loader was killed
by a signal on 137 of 500 bit-flipped files, the same bytes through the
interpreter never (a file made for it can still do that, so checksums come
first). ``tensorflow.lite`` is no engine here: importing TensorFlow
takes seconds and gigabytes, and ai-edge-litert has wheels wherever it has.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from edgeconv.errors import MissingDependency, Unsupported, UsageError
from edgeconv.runtime.affine import dequantize, finite_float32, quantize
from edgeconv.runtime.matching import first_line
from edgeconv.runtime.onnx_file import BoundCall, OnnxFile
from edgeconv.runtime.providers import DEVICES, Place
from edgeconv.runtime.quiet import quiet_stderr
from edgeconv.runtime.tflite_file import TfliteFile
from edgeconv.types import Array, TensorSpec

__all__ = ["ENGINES", "Engine", "Model", "installed_engines", "load_engine", "open_model"]

# ONNX Runtime (1.31 for Linux) reports each session to its maker and leaves an
# identifier of the device in ~/.cache, unless this stands here before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class Engine(NamedTuple):
    """Where an engine comes from and what it opens."""

    format: str
    module: str
    package: str
    extra: str


#: In the order in which they are tried.
ENGINES = {
    "litert": Engine("tflite", "ai_edge_litert.interpreter", "ai-edge-litert", "litert"),
    "tflite-runtime": Engine(
        "tflite", "tflite_runtime.interpreter", "tflite-runtime", "tflite-runtime"
    ),
    "onnxruntime": Engine("onnx", "onnxruntime", "onnxruntime", "onnx"),
}

_TITLES = {"tflite": "TFLite", "onnx": "ONNX"}


def installed_engines(format: Optional[str] = None) -> list[str]:
    """Names of the engines that are there, best first, without importing them.

    Args:
        format: Only those that open ``tflite`` or ``onnx``.
    """
    return [
        name
        for name, engine in ENGINES.items()
        if format in (None, engine.format) and _is_there(engine)
    ]


class Model:
    """An open model file: real values in, real values out.

    Safe to call from several threads; a TFLite model answers them in turn.

    Attributes:
        engine: Name of the engine, a key of ``ENGINES``.
        inputs: Specs in the order in which arrays are passed.
        outputs: Specs in the order in which arrays come back.
        device: Where it runs: ``cpu``, ``cuda`` or ``tensorrt``.
        note: One sentence where that is not all that was asked for, else "".
        raw: Arrays [N, ...] in the file's own dtypes -> the same, at the
            cost of the bare engine.
    """

    def __init__(
        self,
        engine: str,
        library: Any,
        file: Union[TfliteFile, OnnxFile],
    ) -> None:
        self.engine = engine
        self.inputs = file.inputs
        self.outputs = file.outputs
        self.device = file.device
        self.note = file.note
        self.raw = file.run
        self._file = file
        self._library = library

    @property
    def version(self) -> str:
        """The engine's version, such as ``2.3.0``."""
        found = getattr(self._library, "__version__", None)
        if found is None:
            from importlib import metadata  # 40 ms that most runs don't need

            found = metadata.version(ENGINES[self.engine].package)
        return str(found)

    def __call__(self, *x: Array) -> tuple[Array, ...]:
        """Run on real values.

        Args:
            x: One float array an input, each [N, ...], preprocessed.

        Returns:
            One float32 array an output, each [N, ...].

        Raises:
            UsageError: The number of arrays or a shape is wrong.
            RefusedInput: A value is NaN or infinite.
        """
        results = self.raw(*self.quantized(*x))
        return tuple(dequantize(q, spec) for q, spec in zip(results, self.outputs))

    def quantized(self, *x: Array) -> tuple[Array, ...]:
        """What ``raw`` takes: the same arrays, checked, in the file's own dtypes.

        Raises:
            UsageError: The number of arrays or a shape is wrong.
            RefusedInput: A value is NaN or infinite.
        """
        if len(x) != len(self.inputs):
            raise UsageError(f"The model takes {len(self.inputs)} inputs, not {len(x)}.")
        ready = tuple([quantize(_checked(a, spec), spec) for a, spec in zip(x, self.inputs)])
        if len({len(a) for a in ready}) != 1:
            raise UsageError("The inputs hold different numbers of items.")
        return ready

    def bound(self, *x: Array) -> BoundCall:
        """A call on ``x`` that copies nothing to the device and nothing back.

        Args:
            x: As ``raw`` takes them.

        Raises:
            Unsupported: The engine is not ONNX Runtime.
            UsageError: A dtype or shape is not the file's.
        """
        if not isinstance(self._file, OnnxFile):
            raise Unsupported(
                f"{self.engine} can't keep inputs and outputs on a device.",
                "Leave --bind away, or take --engine onnxruntime.",
            )
        return self._file.bound(*x)

    def end_profiling(self) -> str:
        """Name of the file that the operators were traced into; for ``profile`` sessions only."""
        if not isinstance(self._file, OnnxFile):
            raise Unsupported(f"{self.engine} has no profile of operators.")
        return self._file.end_profiling()


def _checked(x: Array, spec: TensorSpec) -> Array:
    wanted, found = spec.shape[1:], x.shape[1:]
    fits = len(wanted) == len(found) and all(n is None or n == m for n, m in zip(wanted, found))
    if x.ndim == 0 or not fits:
        axes = ", ".join("any" if n is None else str(n) for n in ("N", *wanted))
        raise UsageError(
            f"The input {spec.name!r} takes [{axes}], not {list(x.shape)}.", "Reshape the array."
        )
    if x.dtype.kind not in "fiu":
        raise UsageError(f"The input {spec.name!r} takes numbers, not {x.dtype}.")
    return finite_float32(x, f"The input {spec.name!r}")


def open_model(
    data: bytes,
    format: str,
    inputs: Sequence[TensorSpec] = (),
    outputs: Sequence[TensorSpec] = (),
    engine: Optional[str] = None,
    threads: int = 1,
    device: Optional[str] = None,
    allow_fallback: bool = False,
    half: bool = False,
    profile: str = "",
    files: Optional[Mapping[str, bytes]] = None,
) -> Model:
    """Open a model file's bytes with an engine that is installed.

    Args:
        data: The whole file.
        format: ``tflite`` or ``onnx``.
        inputs: Matched to the file by name, or by order where the names differ;
            none at all takes the file's own.
        outputs: Likewise.
        engine: A key of ``ENGINES``; None takes the first that is installed and loads.
        threads: Of one inference.
        device: A key of ``DEVICES``; None is the CPU.
        allow_fallback: Take the CPU where the device can't; the model's note then says so.
        half: The file holds float16, which TensorRT wants to be told.
        profile: Start of the name of a file for ONNX Runtime's trace; "" for none.
        files: Name -> content of the files beside an ONNX file that its weights may lie in.

    Raises:
        UsageError: No such engine or device.
        MissingDependency: No engine for this format is installed, or the device doesn't start.
        Unsupported: The engine can't open the format, or it or the device lacks an operator.
        RefusedInput: The file is corrupt, not what the specs say, or takes weights from
            another file than ``files``.
    """
    if device is not None and device not in DEVICES:
        raise UsageError(f"There is no device {device!r}.", f"Choose one of: {', '.join(DEVICES)}.")
    name, library = _engine_for(format, engine)
    place = Place(threads, device or "cpu", allow_fallback, half, profile)
    specs = tuple(inputs), tuple(outputs)
    if format == "tflite":
        return Model(name, library, TfliteFile(data, library, *specs, place))
    return Model(name, library, OnnxFile(data, library, *specs, place, files or {}))


def _engine_for(format: str, name: Optional[str]) -> tuple[str, Any]:
    if name is None:
        return _first_that_loads(format)
    if name not in ENGINES:
        raise UsageError(f"There is no engine {name!r}.", f"Choose one of: {', '.join(ENGINES)}.")
    if ENGINES[name].format != format:
        raise Unsupported(
            f"{name} opens {_TITLES[ENGINES[name].format]} files, not {_TITLES[format]}.",
            _how_to_install(format),
        )
    return name, load_engine(name)


def _first_that_loads(format: str) -> tuple[str, Any]:
    failure: Optional[MissingDependency] = None
    for name in installed_engines(format):
        try:
            return name, load_engine(name)
        except MissingDependency as error:
            failure = failure or error
    if failure is not None:
        raise failure
    others = installed_engines()
    if others:
        raise Unsupported(
            f"The only engine installed, {others[0]}, can't open {_TITLES[format]} files.",
            _how_to_install(format),
        )
    raise MissingDependency(
        f"No engine for {_TITLES[format]} files is installed.", _how_to_install(format)
    )


def _is_there(engine: Engine) -> bool:
    return importlib.util.find_spec(engine.module.partition(".")[0]) is not None


def load_engine(name: str) -> Any:
    """Import an engine's module, without what it says while it loads.

    Raises:
        MissingDependency: It is not installed, or doesn't load.
    """
    engine = ENGINES[name]
    if not _is_there(engine):
        raise MissingDependency(
            f"The engine {name} is not installed.",
            f"pip install edgeconv[{engine.extra}], or {engine.package} alone.",
        )
    try:
        with quiet_stderr():
            return importlib.import_module(engine.module)
    except ImportError as error:
        raise MissingDependency(
            f"The engine {name} is installed but doesn't load: {first_line(error)}",
            "tflite-runtime's wheels need NumPy 1.x: pip install 'numpy<2'"
            if name == "tflite-runtime" and not np.__version__.startswith("1.")
            else f"Install it again: pip install edgeconv[{engine.extra}]",
        ) from error


def _how_to_install(format: str) -> str:
    names = [engine for engine in ENGINES.values() if engine.format == format]
    return "Install one: " + " or ".join(
        f"pip install {e.package} (edgeconv[{e.extra}])" for e in names
    )
