"""dynamic: int8 weights, and activations quantized anew for each input.

    Conv(x, W, b)  ->  q, s, z = DynamicQuantizeLinear(x)
                       Cast(ConvInteger(q, W_q, z, 128)) * (s * s_W) + b
    Gemm, MatMul   ->  the same with MatMulInteger

    s_W[c] = max |W[c]| / 127        W_q = round(W / s_W)

``quantize_dynamic`` gives a convolution one scale for all channels, which ruins a
depthwise one after BatchNorm was folded into it. Every channel has its own here: the
scales are multiplied in float, after the integer sum. Kernels of ConvInteger are
written as W_q + 128 in uint8, for which onnxruntime has a fast kernel (a layer of
MobileNetV2 on one core: 0.5 ms, int8: 3.3 ms). -128 is never used, so that |W_q| is
symmetric.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np

from edgeconv.targets.onnx.kernels import FORMS, attribute, output_axis
from edgeconv.targets.onnx.model import (
    Model,
    Node,
    Tensor,
    array_of,
    constants,
    fresh_name,
    infer_shapes,
    replace_nodes,
    set_constant,
    sort_constants,
)
from edgeconv.types import Array

__all__ = ["quantize_kernel", "to_dynamic"]

_LARGEST: Final = 127
_ZERO_POINT: Final = 128


def to_dynamic(model: Model, excluded: Collection[str]) -> Model:
    """Quantize ``model``, which is used up.

    Args:
        model: Float.
        excluded: Names of nodes that stay in float.
    """
    return _Rewriter(model).run(set(excluded))


def quantize_kernel(kernel: Array, axis: int) -> tuple[Array, Array]:
    """Symmetric int8 with one scale a channel.

    Args:
        kernel: float32.
        axis: Of the channels.

    Returns:
        int8 of the same shape, and float32 scales that broadcast against it.
    """
    others = tuple(i for i in range(kernel.ndim) if i != axis)
    largest = np.abs(kernel).max(axis=others, keepdims=True)
    # A channel of zeros has any scale.
    scales = np.where(largest > 0, largest / _LARGEST, 1.0).astype(np.float32)
    # A scale may round down to zero where the weights are denormal.
    scales = np.maximum(scales, np.finfo(np.float32).tiny)
    quantized = np.clip(np.rint(kernel / scales), -_LARGEST, _LARGEST).astype(np.int8)
    return quantized, scales


class _Rewriter:
    """One pass over the nodes, with what they share."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._held = constants(model)
        self._taken = {n for node in model.graph.node for n in (*node.input, *node.output)}
        self._nodes: list[Node] = []
        self._inputs: dict[str, list[str]] = {}

    def run(self, excluded: Collection[str]) -> Model:
        for node in self._model.graph.node:
            if node.name not in excluded and self._fits(node):
                self._rewrite(node)
            else:
                self._nodes.append(node)
        replace_nodes(self._model, self._nodes)
        sort_constants(self._model)
        return infer_shapes(self._model)

    def _fits(self, node: Node) -> bool:
        """A convolution or product with a constant float32 kernel."""
        if node.op_type not in ("Conv", "Gemm", "MatMul") or attribute(node, "transA", 0):
            return False
        kernel: Tensor | None = self._held.get(node.input[1])
        return kernel is not None and kernel.data_type == 1 and len(kernel.dims) >= 2

    def _rewrite(self, node: Node) -> None:
        is_conv = node.op_type == "Conv"
        kernel = array_of(self._held[node.input[1]])
        quantized, scales = quantize_kernel(kernel, output_axis(node))
        value = FORMS[node.op_type].to_keras(quantized, node)
        shape: tuple[int, ...] = (-1,)
        if is_conv:
            value = (quantized.astype(np.int16) + _ZERO_POINT).astype(np.uint8)
            shape = (1, -1, *[1] * (kernel.ndim - 2))
        zero = _ZERO_POINT if is_conv else 0
        q, s, z = self._quantized_input(node.input[0])
        ends = [
            q,
            self._constant(f"{node.input[1]}/int8", np.ascontiguousarray(value)),
            z,
            self._constant(f"{node.input[1]}/zero_point", np.full((), zero, value.dtype)),
        ]
        sums = self._add("ConvInteger" if is_conv else "MatMulInteger", ends, node)
        scale = self._constant(f"{node.input[1]}/scale", scales.reshape(shape))
        factor = self._add("Mul", [s, scale], node)
        self._finish(node, self._add("Cast", [sums], node), factor, shape)

    def _finish(self, node: Node, sums: str, factor: str, shape: tuple[int, ...]) -> None:
        """Scale the sums, add the bias, and write the node's own output."""
        has_bias = len(node.input) > 2 and node.input[2] != ""
        product = self._add("Mul", [sums, factor], node, "" if has_bias else node.output[0])
        if has_bias:
            bias = node.input[2]
            if bias in self._held:
                flat = array_of(self._held[bias]).reshape(shape)
                bias = self._constant(f"{bias}/broadcast", flat)
            self._add("Add", [product, bias], node, node.output[0])

    def _quantized_input(self, name: str) -> list[str]:
        if name not in self._inputs:
            ends = [fresh_name(f"{name}/{end}", self._taken) for end in ("q", "scale", "zero")]
            self._inputs[name] = ends
            self._append("DynamicQuantizeLinear", [name], ends)
        return self._inputs[name]

    def _constant(self, name: str, value: Array) -> str:
        name = fresh_name(name, self._taken)
        set_constant(self._model, name, value)
        return name

    def _add(self, op: str, inputs: list[str], origin: Node, output: str = "") -> str:
        output = output or fresh_name(f"{origin.name}/{op}", self._taken)
        extra = {"to": 1} if op == "Cast" else {}
        self._append(op, inputs, [output], origin if op == "ConvInteger" else None, **extra)
        return output

    def _append(
        self,
        op: str,
        inputs: list[str],
        outputs: list[str],
        like: Node | None = None,
        **attributes: int,
    ) -> None:
        from onnx import helper

        made = helper.make_node(op, inputs, outputs, f"{outputs[0]}:{op}", **attributes)
        if like is not None:
            made.attribute.extend(like.attribute)
        self._nodes.append(made)
