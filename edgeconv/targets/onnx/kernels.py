"""Where operators keep their kernels, and how those lie in Keras.

    operator         ONNX kernel        Keras kernel
    Conv             [O, I/g, *S]       [*S, I/g, O]
    Conv, depthwise  [C * M, 1, *S]     [*S, C, M]        (g = C > 1)
    ConvTranspose    [I, O/g, *S]       [*S, I, O/g]
    Gemm, MatMul     [I, O]             [I, O]            (Gemm with transB: [O, I])

S are the spatial axes. The output channels come last in each Keras kernel (C * M of
them for depthwise), so ``kernel.reshape(-1, channels)`` has one column a channel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from edgeconv.targets.onnx.model import Node
from edgeconv.types import Array

Shape = tuple[int, ...]

__all__ = ["FORMS", "Form", "attribute", "output_axis"]


class Form(NamedTuple):
    """One operator's slots, and its layout there and back.

    Attributes:
        weight: Input that is the kernel.
        bias: Input that is the bias; 0 where the operator has none.
        to_keras: (ONNX kernel, node) -> Keras kernel.
        to_onnx: (Keras kernel, node, shape of the ONNX kernel) -> ONNX kernel.
        output_axis: Of the output channels in the ONNX kernel.
    """

    weight: int
    bias: int
    to_keras: Callable[[Array, Node], Array]
    to_onnx: Callable[[Array, Node, Shape], Array]
    output_axis: int


def attribute(node: Node, name: str, default: int) -> int:
    """An integer attribute."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def output_axis(node: Node) -> int:
    """The axis of a node's ONNX kernel along which its output channels lie."""
    if node.op_type == "Gemm" and attribute(node, "transB", 0):
        return 0
    return FORMS[node.op_type].output_axis


def _conv_to_keras(kernel: Array, node: Node) -> Array:
    spatial = range(2, kernel.ndim)
    groups = attribute(node, "group", 1)
    if groups > 1 and kernel.shape[1] == 1:
        size = kernel.shape[2:]
        return kernel.transpose(*spatial, 0, 1).reshape(*size, groups, kernel.shape[0] // groups)
    return kernel.transpose(*spatial, 1, 0)


def _conv_to_onnx(kernel: Array, node: Node, shape: Shape) -> Array:
    spatial = range(kernel.ndim - 2)
    if attribute(node, "group", 1) > 1 and shape[1] == 1:
        flat = kernel.reshape(*kernel.shape[:-2], -1, 1)
        return flat.transpose(flat.ndim - 2, flat.ndim - 1, *spatial)
    return kernel.transpose(kernel.ndim - 1, kernel.ndim - 2, *spatial)


def _transposed_to_keras(kernel: Array, node: Node) -> Array:
    return kernel.transpose(*range(2, kernel.ndim), 0, 1)


def _transposed_to_onnx(kernel: Array, node: Node, shape: Shape) -> Array:
    return kernel.transpose(kernel.ndim - 2, kernel.ndim - 1, *range(kernel.ndim - 2))


def _dense_to_keras(kernel: Array, node: Node) -> Array:
    return kernel.T if attribute(node, "transB", 0) else kernel


def _dense_to_onnx(kernel: Array, node: Node, shape: Shape) -> Array:
    return _dense_to_keras(kernel, node)


FORMS: Final[Mapping[str, Form]] = {
    "Conv": Form(1, 2, _conv_to_keras, _conv_to_onnx, 0),
    "ConvTranspose": Form(1, 2, _transposed_to_keras, _transposed_to_onnx, 1),
    "Gemm": Form(1, 2, _dense_to_keras, _dense_to_onnx, 1),
    "MatMul": Form(1, 0, _dense_to_keras, _dense_to_onnx, 1),
}
