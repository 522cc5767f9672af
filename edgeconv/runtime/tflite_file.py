"""A TFLite file, open in LiteRT or tflite-runtime (the same interface)."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from edgeconv.errors import MissingDependency, RefusedInput, Unsupported, UsageError
from edgeconv.runtime.matching import first_line, in_batches, match_tensors
from edgeconv.runtime.providers import Place
from edgeconv.runtime.quiet import quiet_stderr
from edgeconv.types import Array, TensorSpec

__all__ = ["TfliteFile"]


class TfliteFile:
    """One interpreter with its tensors allocated.

    Args:
        data: The whole file.
        library: The module that has ``Interpreter``.
        inputs: Expected specs, or () for the file's own.
        outputs: Likewise.
        place: Where it is to run; these engines know only the CPU.

    Attributes:
        device: ``cpu``.
        note: One sentence where another device was asked for, else "".

    Raises:
        RefusedInput: The file is corrupt, or not what the specs say.
        Unsupported: The interpreter lacks an operator of the file.
    """

    def __init__(
        self,
        data: bytes,
        library: Any,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        place: Place,
    ) -> None:
        self.device = "cpu"
        self.note = ""
        if place.device != "cpu":
            self.note = f"TFLite files run on the CPU, not on {place.device}."
            if not place.allow_fallback:
                raise Unsupported(
                    self.note, "Open the bundle's ONNX file: --engine onnxruntime, or no --engine."
                )
        self._interpreter = _allocated(data, library, place.threads)
        self._lock = threading.Lock()
        slots = self._interpreter.get_input_details()
        order, self.inputs = match_tensors([_spec_of(d) for d in slots], inputs, "input")
        self._input_ids = [int(slots[i]["index"]) for i in order]
        # The batch that the file was written for: 1 in every file of edgeconv.
        self._batch = int(slots[0]["shape"][0]) if slots and len(slots[0]["shape"]) else 1
        slots = self._interpreter.get_output_details()
        order, self.outputs = match_tensors([_spec_of(d) for d in slots], outputs, "output")
        self._output_ids = [int(slots[i]["index"]) for i in order]

    def run(self, *x: Array) -> tuple[Array, ...]:
        """Arrays [N, ...] in the file's own dtypes -> the same.

        Raises:
            UsageError: A dtype or shape is not the file's.
        """
        try:
            with self._lock:
                if len(x[0]) == self._batch:
                    return self._run_batch(x)
                return in_batches(self._run_batch, x, self._batch)
        except (IndexError, RuntimeError, TypeError, ValueError) as error:
            raise UsageError(f"The model did not take the input: {first_line(error)}") from error

    def _run_batch(self, x: tuple[Array, ...]) -> tuple[Array, ...]:
        interpreter = self._interpreter
        for slot, array in zip(self._input_ids, x):
            interpreter.set_tensor(slot, array)
        interpreter.invoke()
        return tuple([interpreter.get_tensor(slot) for slot in self._output_ids])


def _allocated(data: bytes, library: Any, threads: int) -> Any:
    if not data:
        raise RefusedInput("The TFLite file is empty.")
    try:
        with quiet_stderr():
            interpreter = library.Interpreter(model_content=data, num_threads=threads)
            interpreter.allocate_tensors()
    except (ImportError, SystemError) as error:
        raise MissingDependency(
            f"The TFLite engine does not work with NumPy {np.__version__}.",
            "tflite-runtime's wheels need NumPy 1.x: pip install 'numpy<2'",
        ) from error
    except (RuntimeError, ValueError) as error:
        cause = first_line(error)
        if "op" in cause.lower().split() or "custom op" in cause.lower():
            raise Unsupported(
                f"The TFLite engine lacks an operator of this model: {cause}",
                "Install a newer engine: pip install -U ai-edge-litert",
            ) from error
        raise RefusedInput(
            f"The TFLite file can't be opened: {cause}", "Copy or export it again."
        ) from error
    return interpreter


def _spec_of(detail: Any) -> TensorSpec:
    scale, zero_point = detail["quantization"]
    quantized = float(scale) != 0.0  # the interpreter's word for "not quantized"
    return TensorSpec(
        name=str(detail["name"]),
        shape=tuple(int(n) for n in detail["shape"]),
        dtype=np.dtype(detail["dtype"]).name,
        scale=float(scale) if quantized else None,
        zero_point=int(zero_point) if quantized else None,
    )
