"""An ONNX file, open in ONNX Runtime."""

from __future__ import annotations

from typing import Any

from edgeconv.errors import Unsupported, UsageError
from edgeconv.runtime.matching import first_line, in_batches, match_tensors
from edgeconv.runtime.providers import Place, start_session
from edgeconv.types import Array, TensorSpec

__all__ = ["OnnxFile"]

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


class OnnxFile:
    """One inference session.

    Args:
        data: The whole file.
        library: The module ``onnxruntime``.
        inputs: Expected specs, or () for the file's own.
        outputs: Likewise.
        place: Where it is to run.

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
    ) -> None:
        self._session, self.device, self.note = start_session(library, data, place)
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


def _spec_of_node(node: Any) -> TensorSpec:
    dtype = _ONNX_DTYPES.get(node.type)
    if dtype is None:
        raise Unsupported(f"The ONNX tensor {node.name!r} is of type {node.type}.")
    # A free axis has a name, or None, where a fixed one has its length.
    shape = tuple(n if isinstance(n, int) else None for n in node.shape)
    return TensorSpec(name=node.name, shape=shape, dtype=dtype)
