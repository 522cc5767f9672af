"""Guard the layers that are to stay in float against onnxruntime.

    DequantizeLinear -> Conv -> Relu -> QuantizeLinear        becomes
    DequantizeLinear -> Conv -> Relu -> Max -> QuantizeLinear

Where a float convolution stands between the two, onnxruntime takes its weights for
forgotten and quantizes them itself, with one scale for the whole kernel: the layer
that was lifted to float for its accuracy would be the worst one. Max of one tensor is
that tensor; onnxruntime neither removes it nor looks past it.

Source: onnxruntime/core/optimizer/qdq_transformer/weight_bias_quantization.cc
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from edgeconv.targets.onnx.model import Model, Node, fresh_name, uses
from edgeconv.targets.onnx.observe import CLAMPS

__all__ = ["guard_floats"]

#: Operators whose weights onnxruntime would quantize.
_TAKEN: Final = ("Conv", "ConvTranspose", "Gemm")


def guard_floats(model: Model, floats: Collection[str]) -> None:
    """Put a Max behind each such node, in place; nodes then need sorting.

    Args:
        model: With QuantizeLinear and DequantizeLinear in it.
        floats: Names of the nodes that are to stay in float.
    """
    from onnx import helper

    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    for node in [n for n in model.graph.node if n.name in floats and n.op_type in _TAKEN]:
        last = _clamped(model, node)
        if last is None:
            continue
        output, inner = last.output[0], fresh_name(f"{last.output[0]}/float", taken)
        last.output[0] = inner
        model.graph.node.append(helper.make_node("Max", [inner], [output], f"{output}/guard"))


def _clamped(model: Model, node: Node) -> Node | None:
    """The last of the Relu and Clip behind ``node``; None where nothing threatens it."""
    used = uses(model)
    writers = {name: n for n in model.graph.node for name in n.output}
    readers = {name: n for n in model.graph.node for name in n.input}
    before = writers.get(node.input[0])
    if before is None or before.op_type != "DequantizeLinear":
        return None
    while True:
        reader = readers.get(node.output[0])
        if reader is None or used[node.output[0]] != 1:
            return None
        if reader.op_type not in CLAMPS:
            return node
        node = reader
