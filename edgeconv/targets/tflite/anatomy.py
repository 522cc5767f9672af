"""The anatomy of a TFLite file; see ``edgeconv.targets.anatomy``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np

from edgeconv.errors import RefusedInput
from edgeconv.targets.anatomy import Session, Step, Tensor
from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.part import open_part
from edgeconv.types import Array

__all__ = ["TfliteAnatomy"]

#: Operator -> slots of its kernel and its bias, and the axis of the kernel's output channels.
_KERNELS: Final = {
    "CONV_2D": (1, 2, 0),
    "DEPTHWISE_CONV_2D": (1, 2, 3),
    "FULLY_CONNECTED": (1, 2, 0),
    "TRANSPOSE_CONV": (1, 3, 0),
    "CONV_3D": (1, 2, 4),
}


class TfliteAnatomy:
    """The main subgraph of a file.

    Args:
        content: The whole file.

    Raises:
        RefusedInput: It has no subgraph.
    """

    def __init__(self, content: bytes) -> None:
        self._model = fb.parse(content)
        if not self._model.subgraphs:
            raise RefusedInput("The TFLite file holds no model.", "Copy or export it again.")
        main = self._model.subgraphs[0]
        self._names = unique_names(main)
        self._index = {name: index for index, name in enumerate(self._names)}
        self.inputs: Sequence[str] = [self._names[i] for i in main.inputs]
        self.outputs: Sequence[str] = [self._names[i] for i in main.outputs]
        self._frozen = _constants(self._model)
        self.steps = [self._step(op) for op in main.operators]
        # Rewriting leaves tensors behind that no operator touches.
        touched = {int(i) for op in main.operators for i in (*op.inputs, *op.outputs)}
        self.tensors = {
            self._names[i]: _tensor(self._names[i], tensor)
            for i, tensor in enumerate(main.tensors)
            if i not in self._frozen and i in touched
        }

    def kernel(self, step: Step) -> Array | None:
        """See ``Anatomy.kernel``."""
        return self._constant(step.kernel)

    def bias(self, step: Step) -> Array | None:
        """See ``Anatomy.bias``."""
        value, own = self._constant(step.bias), self._steps(step.bias)
        kernel, read = self.kernel_scales(step), self._steps(step.inputs[0] if step.inputs else "")
        if value is None or own is None or kernel is None or read is None or not own.all():
            return value
        # Engines add its integers to their sums of products, whatever scale it bears.
        real: Array = value / own.reshape(-1) * (read[0] * kernel.reshape(-1))
        return real.astype(np.float32)

    def kernel_scales(self, step: Step) -> Array | None:
        """See ``Anatomy.kernel_scales``."""
        return self._steps(step.kernel)

    def kernel_axis(self, step: Step) -> int:
        """See ``Anatomy.kernel_axis``."""
        return _KERNELS[step.op][2]

    def session(
        self, reads: Sequence[str], cut: Collection[str] = (), added: Collection[str] = ()
    ) -> Session:
        """See ``Anatomy.session``."""
        return open_part(self._model, self.steps, self._index, reads, cut, added)

    def _step(self, operator: Any) -> Step:
        kind = fb.operator_names(self._model)[operator.opcodeIndex]
        kernel, bias, _ = _KERNELS.get(kind, (-1, -1, 0))
        weight = self._slot(operator, kernel)
        return Step(
            op=kind,
            inputs=tuple(
                self._names[i] for i in operator.inputs if i >= 0 and i not in self._frozen
            ),
            outputs=tuple(
                self._names[i] for i in operator.outputs if i >= 0 and i not in self._frozen
            ),
            kernel=weight,
            bias=self._slot(operator, bias) if weight else "",
        )

    def _steps(self, name: str) -> Array | None:
        """The scales of a tensor, or of the constant that it is made from."""
        index = self._index.get(name, -1)
        source = self._frozen.get(index, index)
        if source < 0:
            return None
        return _steps_of(self._model.subgraphs[0].tensors[source])[0]

    def _constant(self, name: str) -> Array | None:
        """A constant's real values."""
        index = self._index.get(name)
        if index is None:
            return None
        source = self._frozen.get(index, -1)
        if source < 0:
            return None
        tensor = self._model.subgraphs[0].tensors[source]
        value = fb.array_of(self._model, tensor)
        scale, zero_point = _steps_of(tensor)
        if scale is None:
            return value.astype(np.float32)
        axis = int(tensor.quantization.quantizedDimension)
        around = [1] * value.ndim
        if scale.size > 1:
            around[axis] = scale.size
        # float32 holds small integers, and their products with a float32 scale round once.
        real: Array = value.astype(np.float64 if value.itemsize > 2 else np.float32)
        real -= zero_point.reshape(around)
        real *= scale.reshape(around)
        return real.astype(np.float32, copy=False)

    def _slot(self, operator: Any, slot: int) -> str:
        """The name of the constant at ``slot``, or ""."""
        if not 0 <= slot < len(operator.inputs) or operator.inputs[slot] not in self._frozen:
            return ""
        return str(self._names[operator.inputs[slot]])


def unique_names(main: Any) -> list[str]:
    """A name for each tensor of a subgraph: its own, with its number where others have it."""
    seen: set[str] = set()
    names = []
    for index, tensor in enumerate(main.tensors):
        name = fb.name_of(tensor)
        if not name or name in seen:
            name = f"{name}#{index}"
        seen.add(name)
        names.append(name)
    return names


def _constants(model: fb.ModelT) -> dict[int, int]:
    """Index of each tensor that never changes -> the one that holds its values.

    -1 where none does: state that operators keep between inferences.
    """
    main = model.subgraphs[0]
    found = {
        index: -1 if tensor.isVariable else index
        for index, tensor in enumerate(main.tensors)
        if tensor.isVariable or fb.is_constant(model, tensor)
    }
    names = fb.operator_names(model)
    for operator in main.operators:
        # float16 kernels are constants that a DEQUANTIZE of their own makes float32.
        if names[operator.opcodeIndex] == "DEQUANTIZE" and operator.inputs[0] in found:
            found[int(operator.outputs[0])] = int(operator.inputs[0])
    return found


def _tensor(name: str, tensor: Any) -> Tensor:
    scale, zero_point = _steps_of(tensor)
    return Tensor(
        name=name,
        shape=() if tensor.shape is None else tuple(int(n) for n in tensor.shape),
        dtype=fb.dtype_of(tensor),
        scale=None if scale is None else float(scale.flat[0]),
        zero_point=0 if scale is None else int(zero_point.flat[0]),
    )


def _steps_of(tensor: Any) -> tuple[Array | None, Array]:
    """Scales and zero points; None where the tensor isn't quantized."""
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return None, np.zeros(1, np.int64)
    scale = np.asarray(quantization.scale)
    zero_point = quantization.zeroPoint
    if zero_point is None or not len(zero_point):
        return scale, np.zeros(scale.size, np.int64)
    return scale, np.broadcast_to(np.asarray(zero_point), scale.shape)
