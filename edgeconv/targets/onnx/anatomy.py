"""The anatomy of an ONNX file; see ``edgeconv.targets.anatomy``.

    x -> QuantizeLinear -> q -> DequantizeLinear -> d -> readers

x and q are tensors, QuantizeLinear is a step, and d is another name of q, whose scale
and zero point are those of DequantizeLinear: what readers go by. Where a product went
into DequantizeLinear's scale (``relabel``), q is what it was before that product.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgeconv.targets.anatomy import Session, Step, Tensor
from edgeconv.targets.onnx import model as om
from edgeconv.targets.onnx.part import links_of, open_part
from edgeconv.targets.onnx.relabel import RELABELLED
from edgeconv.types import Array

__all__ = ["OnnxAnatomy"]

#: Operator -> slots of its kernel and bias (-1: none), and the axis of the kernel's
#: output channels.
_KERNELS: Final = {
    "Conv": (1, 2, 0),
    "FusedConv": (1, 2, 0),
    "ConvTranspose": (1, 2, 1),
    "Gemm": (1, 2, 1),
    "FusedGemm": (1, 2, 1),
    "MatMul": (1, -1, 1),
    "QLinearConv": (3, 8, 0),
    "QLinearMatMul": (3, -1, 1),
    "QGemm": (3, 6, 1),
}
#: Operators with a quantized kernel -> slot of its scales; the zero points are the next.
_STEPS_OF_KERNEL: Final = {"QLinearConv": 4, "QLinearMatMul": 4, "QGemm": 4}
#: Operators that write quantized values -> slot of the scale; the zero point is the next.
_SCALES: Final = {
    "QuantizeLinear": 1,
    "QLinearConv": 6,
    "QLinearMatMul": 6,
    "QGemm": 7,
    "QLinearAdd": 6,
    "QLinearMul": 6,
    "QLinearGlobalAveragePool": 3,
    "QLinearAveragePool": 3,
    "QLinearSigmoid": 3,
    "QLinearLeakyRelu": 3,
    "QLinearSoftmax": 3,
}
#: Operators whose output is the same number in another form.
_SAME: Final = ("Cast", "Identity")


class OnnxAnatomy:
    """The main graph of a file.

    Args:
        content: The whole file.
    """

    def __init__(self, content: bytes) -> None:
        self._model = om.infer_shapes(om.parse(content))
        graph = self._model.graph
        self._held = om.constants(self._model)
        self._writers = {name: node for node in graph.node for name in node.output if name}
        self._frozen = set(self._held)
        for node in graph.node:
            if self._frozen.issuperset(name for name in links_of(node).inputs):
                self._frozen.update(node.output)
        self._alias: dict[str, str] = {
            node.output[0]: node.input[0]
            for node in graph.node
            if node.op_type == "DequantizeLinear" and node.input[0] not in self._frozen
        }
        self.inputs: Sequence[str] = [v.name for v in graph.input if v.name not in self._held]
        self.outputs: Sequence[str] = [self.see(v.name) for v in graph.output]
        self.steps = [
            self._step(node)
            for node in graph.node
            if node.output[0] not in self._frozen and node.output[0] not in self._alias
        ]
        self.tensors = self._tensors()

    def see(self, name: str) -> str:
        """The tensor that a value's name stands for."""
        return self._alias.get(name, name)

    def kernel(self, step: Step) -> Array | None:
        """See ``Anatomy.kernel``."""
        value = self._constant(step.kernel)
        slot = _STEPS_OF_KERNEL.get(step.op)
        if value is None or slot is None:
            return value
        node = self._writers[step.outputs[0]]
        return self._real(value, node.input[slot], node.input[slot + 1], self.kernel_axis(step))

    def bias(self, step: Step) -> Array | None:
        """See ``Anatomy.bias``."""
        value = self._constant(step.bias)
        slot = _STEPS_OF_KERNEL.get(step.op)
        if value is None or slot is None:
            return value
        node = self._writers[step.outputs[0]]
        scales = [self._constant(node.input[each]) for each in (1, slot)]
        if scales[0] is None or scales[1] is None:
            return None
        real: Array = value * scales[0] * scales[1]
        return real

    def kernel_scales(self, step: Step) -> Array | None:
        """See ``Anatomy.kernel_scales``."""
        slot = _STEPS_OF_KERNEL.get(step.op)
        node = self._writers[step.outputs[0]] if slot else self._writers.get(step.kernel)
        if node is None or (slot is None and node.op_type != "DequantizeLinear"):
            return None
        scales = self._constant(node.input[1 if slot is None else slot])
        return None if scales is None else scales.reshape(-1)

    def kernel_axis(self, step: Step) -> int:
        """See ``Anatomy.kernel_axis``."""
        node = self._writers[step.outputs[0]]
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return 0 if transposed else _KERNELS[step.op][2]

    def session(
        self, reads: Sequence[str], cut: Collection[str] = (), added: Collection[str] = ()
    ) -> Session:
        """See ``Anatomy.session``."""
        return open_part(self._model, reads, cut, added)

    def _constant(self, name: str) -> Array | None:
        """A constant's real values."""
        if name in self._held:
            return om.array_of(self._held[name]).astype(np.float32)
        node = self._writers.get(name)
        if node is None or name not in self._frozen:
            return None
        if node.op_type == "Constant":
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            return None if value is None else om.array_of(value).astype(np.float32)
        if node.op_type == "DequantizeLinear":
            value = self._constant(node.input[0])
            axis = next((int(a.i) for a in node.attribute if a.name == "axis"), 1)
            zero_point = node.input[2] if len(node.input) > 2 else ""
            return None if value is None else self._real(value, node.input[1], zero_point, axis)
        return self._constant(node.input[0]) if node.op_type in _SAME else None

    def _step(self, node: om.Node) -> Step:
        kernel, bias, _ = _KERNELS.get(node.op_type, (-1, -1, 0))
        weight = self._slot(node, kernel)
        links = links_of(node)
        return Step(
            op=node.op_type,
            inputs=tuple(self.see(name) for name in links.inputs if name not in self._frozen),
            outputs=links.outputs,
            kernel=weight,
            bias=self._slot(node, bias) if weight else "",
        )

    def _slot(self, node: om.Node, slot: int) -> str:
        """The name of the constant at ``slot``, or ""."""
        name = node.input[slot] if 0 <= slot < len(node.input) else ""
        return str(name) if name in self._frozen else ""

    def _tensors(self) -> Mapping[str, Tensor]:
        graph = self._model.graph
        values = {v.name: v for v in (*graph.value_info, *graph.input, *graph.output)}
        readers = {node.input[0]: node for node in graph.node if node.output[0] in self._alias}
        names = [*self.inputs, *(name for step in self.steps for name in step.outputs)]
        return {
            name: self._tensor(name, values.get(name), readers.get(name))
            for name in dict.fromkeys(names)
        }

    def _tensor(self, name: str, value: Any, reader: om.Node | None) -> Tensor:
        shape, dtype = _described(value)
        writer = self._writers.get(name)
        if reader is not None and writer is not None and RELABELLED in reader.input[1]:
            reader = None
        node = reader or writer
        slot = 1 if reader is not None else _SCALES.get(getattr(node, "op_type", ""), -1)
        scale = self._number(node, slot) if slot > 0 else None
        zero_point = self._number(node, slot + 1) if scale is not None else None
        if scale is not None and dtype == "float32":
            dtype = "uint8"  # its type was not inferred; what QuantizeLinear writes by default
        return Tensor(name, shape, dtype, scale, int(zero_point or 0), channel_axis=1)

    def _number(self, node: om.Node, slot: int) -> float | None:
        """A constant scalar at ``slot``."""
        name = node.input[slot] if slot < len(node.input) else ""
        value = self._constant(name) if name else None
        return float(value.reshape(-1)[0]) if value is not None and value.size else None

    def _real(self, value: Array, scales: str, zero_points: str, axis: int) -> Array | None:
        """What stored values mean by the constants ``scales`` and ``zero_points``."""
        scale = self._constant(scales)
        if scale is None:
            return None
        zero = self._constant(zero_points) if zero_points else None
        zero = np.zeros_like(scale) if zero is None else zero
        around = [1] * value.ndim
        if scale.size > 1:
            around[axis] = scale.size
        # float32 holds these integers, and their products with a scale round once.
        real: Array = value - zero.reshape(around if zero.size > 1 else [1])
        real *= scale.reshape(around if scale.size > 1 else [1])
        return real


def _described(value: Any) -> tuple[tuple[int | None, ...] | None, str]:
    """Shape and dtype of a ValueInfoProto; (None, float32) where nothing is known."""
    if value is None:
        return None, "float32"
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None, om.dtype_name(kind.elem_type)
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
    return shape, om.dtype_name(kind.elem_type)
