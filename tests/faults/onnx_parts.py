"""Layers of a QDQ ONNX file as ``Parts``, and back."""

from typing import Any

import numpy as np

from edgeconv.targets.onnx.model import array_of, constants, parse, set_constant, to_bytes
from edgeconv.types import Array
from tests.faults.parts import Parts

_LAYERS = ("Conv", "Gemm", "MatMul")


class OnnxModel:
    """An int8 ONNX file whose layers can be taken out and put back.

    Attributes:
        proto: The file as objects.
        fused: Name of each layer with a kernel -> the Keras names of all that is fused into it.
    """

    def __init__(self, content: bytes) -> None:
        self.proto = parse(content)
        self._writers = {name: n for n in self.proto.graph.node for name in n.output}
        self._nodes: dict[str, Any] = {}
        self.fused: dict[str, frozenset[str]] = {}
        for node in self.proto.graph.node:
            if node.op_type in _LAYERS:
                owner = node.name.split("/")[0]
                # Folding a BatchNorm into a depthwise kernel leaves its name on the kernel.
                name = owner.removesuffix("_BN")
                self._nodes[name] = node
                self.fused[name] = frozenset({name, owner, node.output[0].split("/")[0]})

    def __getitem__(self, layer: str) -> Parts:
        node, output = self._nodes[layer], self._quantizer(layer)
        kernel = self._writers[node.input[1]]
        return Parts(
            kernel=_turned(node, self._value(kernel.input[0])),
            scales=self._value(kernel.input[1]),
            bias=self._value(self._writers[node.input[2]].input[0]),
            scale=None if output is None else float(self._value(output.input[1])),
            zero_point=0 if output is None else int(self._value(output.input[2])),
        )

    def __setitem__(self, layer: str, parts: Parts) -> None:
        node, output = self._nodes[layer], self._quantizer(layer)
        kernel, bias = self._writers[node.input[1]], self._writers[node.input[2]]
        steps = self._value(bias.input[1]) / self._value(kernel.input[1])
        self._put(kernel.input[0], _turned_back(node, parts.kernel).astype(np.int8))
        self._put(kernel.input[1], parts.scales.astype(np.float32))
        self._put(bias.input[0], parts.bias.astype(np.int32))
        # TFLite has no scale of its own for the bias: it is input scale times kernel scale.
        self._put(bias.input[1], (steps[0] * parts.scales).astype(np.float32))
        for dequantizer in (kernel, bias):
            zeros = self._value(dequantizer.input[2])
            self._put(dequantizer.input[2], np.zeros(len(parts.scales), zeros.dtype))
        if output is not None and parts.scale is not None:
            self._put(output.input[1], np.array(parts.scale, np.float32))
            self._put(output.input[2], np.array(parts.zero_point, np.uint8))

    def to_bytes(self) -> bytes:
        return to_bytes(self.proto)

    def _quantizer(self, layer: str) -> Any | None:
        """The QuantizeLinear behind the layer, or None where its output stays float."""
        name = self._nodes[layer].output[0]
        found = [
            n for n in self.proto.graph.node if n.op_type == "QuantizeLinear" and n.input[0] == name
        ]
        return found[0] if found else None

    def _value(self, name: str) -> Array:
        return array_of(constants(self.proto)[name])

    def _put(self, name: str, value: Array) -> None:
        set_constant(self.proto, name, np.array(value, order="C"))


def _is_transposed(node: Any) -> bool:
    """Gemm without transB and MatMul have [I, O]."""
    flags = {attribute.name: attribute.i for attribute in node.attribute}
    return node.op_type == "MatMul" or not flags.get("transB", 0)


def _turned(node: Any, stored: Array) -> Array:
    if node.op_type == "Conv":
        return stored.transpose(0, 2, 3, 1)
    return stored.T if _is_transposed(node) else stored


def _turned_back(node: Any, kernel: Array) -> Array:
    if node.op_type == "Conv":
        return kernel.transpose(0, 3, 1, 2)
    return kernel.T if _is_transposed(node) else kernel
