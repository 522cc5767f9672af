"""Layers of a TFLite file as ``Parts``, and back."""

from typing import Any

import numpy as np

from edgeconv.targets.tflite import flatbuffer
from edgeconv.types import Array
from tests.faults.parts import Parts

_LOWEST = -128


class TfliteModel:
    """An int8 TFLite file whose layers can be taken out and put back.

    Attributes:
        tree: The file as objects.
        fused: Name of each layer with a kernel -> the Keras names of all that is fused into it.
    """

    def __init__(self, content: bytes) -> None:
        self.tree = flatbuffer.parse(bytearray(content))
        self._graph = self.tree.subgraphs[0]
        self._operators: dict[str, Any] = {}
        self.fused: dict[str, frozenset[str]] = {}
        for operator in self._graph.operators:
            if len(operator.inputs) == 3 and self._is_constant(operator.inputs[1]):
                kernel = flatbuffer.name_of(self._graph.tensors[operator.inputs[1]])
                output = flatbuffer.name_of(self._graph.tensors[operator.outputs[0]])
                # Folding a BatchNorm into a depthwise kernel leaves its name on the kernel.
                name = kernel.split("/")[0].removesuffix("_BN")
                self._operators[name] = operator
                names = f"{kernel};{output}".split(";")
                self.fused[name] = frozenset(piece.split("/")[0] for piece in names)

    def __getitem__(self, layer: str) -> Parts:
        kernel, bias, output = self._tensors(layer)
        stored = flatbuffer.array_of(self.tree, kernel)
        quantized = output.quantization is not None and output.quantization.scale is not None
        return Parts(
            kernel=_turned(kernel, stored).copy(),
            scales=np.array(kernel.quantization.scale, np.float32),
            bias=flatbuffer.array_of(self.tree, bias).copy(),
            scale=float(output.quantization.scale[0]) if quantized else None,
            zero_point=int(output.quantization.zeroPoint[0]) - _LOWEST if quantized else 0,
        )

    def __setitem__(self, layer: str, parts: Parts) -> None:
        kernel, bias, output = self._tensors(layer)
        made = _turned_back(kernel, parts.kernel)
        kernel.shape = list(made.shape)
        kernel.quantization.scale = parts.scales.astype(np.float32)
        kernel.quantization.zeroPoint = np.zeros(len(parts.scales), np.int64)
        bias.shape = list(parts.bias.shape)
        self._put(kernel, made.astype(np.int8))
        self._put(bias, parts.bias.astype(np.int32))
        if parts.scale is not None:
            self._rescale_readers(layer, float(output.quantization.scale[0]) / parts.scale)
            output.quantization.scale = np.array([parts.scale], np.float32)
            output.quantization.zeroPoint = np.array([parts.zero_point + _LOWEST], np.int64)

    def to_bytes(self) -> bytes:
        return bytes(flatbuffer.to_bytes(self.tree))

    def _rescale_readers(self, layer: str, factor: float) -> None:
        """A bias counts in steps of its layer's input: in others now, so by another number."""
        (output,) = self._operators[layer].outputs
        for operator in self._operators.values():
            if factor != 1.0 and operator.inputs[0] == output:
                bias = self._graph.tensors[operator.inputs[2]]
                steps = np.rint(flatbuffer.array_of(self.tree, bias) * factor)
                self._put(bias, steps.astype(np.int32))

    def _tensors(self, layer: str) -> tuple[Any, Any, Any]:
        operator = self._operators[layer]
        indices = (operator.inputs[1], operator.inputs[2], operator.outputs[0])
        kernel, bias, output = (self._graph.tensors[index] for index in indices)
        return kernel, bias, output

    def _is_constant(self, index: int) -> bool:
        return index >= 0 and flatbuffer.is_constant(self.tree, self._graph.tensors[index])

    def _put(self, tensor: Any, value: Array) -> None:
        data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
        self.tree.buffers[tensor.buffer].data = data


def _is_depthwise(tensor: Any) -> bool:
    return int(tensor.quantization.quantizedDimension) == 3


def _turned(tensor: Any, stored: Array) -> Array:
    """As the file has it -> channels first; depthwise [1, H, W, C] -> [C, H, W, 1]."""
    return stored.transpose(3, 1, 2, 0) if _is_depthwise(tensor) else stored


def _turned_back(tensor: Any, kernel: Array) -> Array:
    return kernel.transpose(3, 1, 2, 0) if _is_depthwise(tensor) else kernel
