"""An ONNX file, open in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from edgeconv.errors import Unsupported, UsageError
from edgeconv.runtime.matching import first_line, in_batches, match_tensors
from edgeconv.runtime.onnx_wire import refuse_outside
from edgeconv.runtime.providers import Place, start_session
from edgeconv.types import Array, TensorSpec

__all__ = ["BoundCall", "OnnxFile"]

#: ONNX Runtime's words for element types.
_ONNX_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


class BoundCall(NamedTuple):
    """One call whose inputs and outputs stay where the model runs.

    Attributes:
        session: ``onnxruntime.InferenceSession``.
        binding: Its ``IOBinding``.
    """

    session: Any
    binding: Any

    def __call__(self) -> None:
        """Run, and wait until the outputs are there."""
        try:
            self.session.run_with_iobinding(self.binding)
            self.binding.synchronize_outputs()
        # ONNX Runtime's exceptions share no base class but Exception.
        except Exception as error:
            raise UsageError(f"The model did not take the input: {first_line(error)}") from error

    def outputs(self) -> tuple[Array, ...]:
        """Copies of the last call's outputs."""
        return tuple(self.binding.copy_outputs_to_cpu())


class OnnxFile:
    """One inference session.

    Args:
        data: The whole file.
        library: The module ``onnxruntime``.
        inputs: Expected specs, or () for the file's own.
        outputs: Likewise.
        place: Where it is to run.
        files: Name -> content of the files beside it that its weights may lie in.

    Attributes:
        device: Where it runs: ``cpu``, ``cuda`` or ``tensorrt``.
        note: One sentence where that is not all that was asked for, else "".

    Raises:
        RefusedInput: The file is corrupt, or not what the specs say.
        Unsupported: The engine or the device lacks an operator of the file.
        MissingDependency: The device does not start.
    """

    def __init__(
        self,
        data: bytes,
        library: Any,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        place: Place,
        files: Mapping[str, bytes],
    ) -> None:
        self._library = library
        refuse_outside(data, files)
        self._session, self.device, self.note = start_session(library, data, place, files)
        slots = [_spec_of_node(node) for node in self._session.get_inputs()]
        order, self.inputs = match_tensors(slots, inputs, "input")
        self._input_names = [slots[i].name for i in order]
        batches = {slot.shape[0] for slot in slots if slot.shape} - {None}
        self._batch = max((n for n in batches if n is not None), default=None)
        slots = [_spec_of_node(node) for node in self._session.get_outputs()]
        order, self.outputs = match_tensors(slots, outputs, "output")
        self._output_names = [slots[i].name for i in order]

    def run(self, *x: Array) -> tuple[Array, ...]:
        """Arrays [N, ...] in the file's own dtypes -> the same.

        Raises:
            UsageError: A dtype or shape is not the file's.
        """
        if self._batch is None or len(x[0]) == self._batch:
            return self._run_batch(x)
        return in_batches(self._run_batch, x, self._batch)

    def _run_batch(self, x: tuple[Array, ...]) -> tuple[Array, ...]:
        try:
            return tuple(self._session.run(self._output_names, dict(zip(self._input_names, x))))
        # ONNX Runtime's exceptions share no base class but Exception.
        except Exception as error:
            raise UsageError(f"The model did not take the input: {first_line(error)}") from error

    def bound(self, *x: Array) -> BoundCall:
        """Put ``x`` where the model runs, once, for any number of calls.

        Args:
            x: As for ``run``, and no other batch than the file's own where it has one.

        Raises:
            UsageError: A dtype or shape is not the file's.
        """
        place = "cpu" if self.device == "cpu" else "cuda"
        binding = self._session.io_binding()
        for name, array in zip(self._input_names, x):
            value = self._library.OrtValue.ortvalue_from_numpy(array, place, 0)
            binding.bind_ortvalue_input(name, value)
        for name in self._output_names:
            binding.bind_output(name, place, 0)
        return BoundCall(self._session, binding)

    def end_profiling(self) -> str:
        """The trace's file; only of a session that was opened with one."""
        return str(self._session.end_profiling())


def _spec_of_node(node: Any) -> TensorSpec:
    dtype = _ONNX_DTYPES.get(node.type)
    if dtype is None:
        raise Unsupported(f"The ONNX tensor {node.name!r} is of type {node.type}.")
    # A free axis has a name, or None, where a fixed one has its length.
    shape = tuple(n if isinstance(n, int) else None for n in node.shape)
    return TensorSpec(name=node.name, shape=shape, dtype=dtype)
