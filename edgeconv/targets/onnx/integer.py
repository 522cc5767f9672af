"""int8: QuantizeLinear and DequantizeLinear around every operator that has an integer kernel.

onnxruntime's QDQQuantizer places them; the ranges are ours.

    weight      int8, symmetric, one scale an output channel
    bias        unsigned: int32 with the scale s_in * s_w
                signed: float, since TensorRT's parser takes DequantizeLinear of int8 alone
                ("only activation types allowed as input to this layer", onnx-tensorrt issue 850)
    activation  unsigned: uint8, asymmetric; Relu and Clip vanish into its ends
                signed: int8, symmetric; Relu and Clip stay
    input of the graph          float32, with the first step inside
    output of the graph         float32; see _end_in_float and _averages_at_the_end

Unsigned is what onnxruntime fuses into QLinearConv on CPUs (MobileNetV2: 52 of 52
convolutions, 6.5 ms; signed: 37 of 52, 11.5 ms); signed is what TensorRT takes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from edgeconv.errors import InternalError, Unsupported
from edgeconv.targets.onnx.averages import averages_by_convolutions
from edgeconv.targets.onnx.guard import guard_floats
from edgeconv.targets.onnx.model import (
    Model,
    Node,
    element_types,
    infer_shapes,
    replace_nodes,
    sort_constants,
    sort_nodes,
    uses,
)
from edgeconv.targets.onnx.observe import CLAMPS, COPIES
from edgeconv.targets.onnx.quicker import quicker
from edgeconv.targets.onnx.relabel import relabel_products
from edgeconv.targets.onnx.widen import widen_depthwise
from edgeconv.types import Ranges, Recipe

__all__ = ["to_int8"]

_FLOAT: Final = 1
#: Operators whose integer kernels can give their sums out in float.
_FLOAT_ENDS: Final = ("Gemm", "MatMul")
_AVERAGES: Final = ("AveragePool", "GlobalAveragePool", "ReduceMean")


def to_int8(model: Model, ranges: Ranges, recipe: Recipe, excluded: Collection[str]) -> Model:
    """Quantize ``model``, which is used up.

    Args:
        model: Float, opset 17, with the types of all tensors.
        ranges: Clipped, of the activations.
        recipe: Its ``onnx_activations``.
        excluded: Names of nodes that stay in float.

    Raises:
        InternalError: A tensor's range is missing.
        Unsupported: onnxruntime can't quantize this graph.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import add_infer_metadata
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    signed = recipe.onnx_activations == "signed"
    overrides: dict[str, Any] = {}
    stays = {*excluded, *_averages_at_the_end(model)}
    if not signed:
        ranges = widen_depthwise(model, ranges, stays)
        ranges, overrides = averages_by_convolutions(model, ranges, stays)
    data = _tensors_data(model, ranges)
    # Asked before quantizing, which lets a Relu behind a product vanish.
    products = {n.output[0] for n in model.graph.node if n.op_type in _FLOAT_ENDS}
    add_infer_metadata(model)  # or the quantizer writes the model out to infer types again
    with _hushed():
        try:
            quantizer = QDQQuantizer(
                model,
                per_channel=True,
                reduce_range=False,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QInt8 if signed else QuantType.QUInt8,
                tensors_range=data,
                nodes_to_quantize=[],
                nodes_to_exclude=sorted(stays),
                op_types_to_quantize=sorted({*QDQRegistry, *QLinearOpsRegistry}),
                extra_options={
                    "ActivationSymmetric": signed,
                    "WeightSymmetric": True,
                    "QuantizeBias": not signed,
                    "TensorQuantOverrides": overrides,
                },
            )
            with quicker(quantizer):
                quantized = quantizer.quantize_model()
        except (ValueError, KeyError, RuntimeError, NotImplementedError, TypeError) as error:
            raise Unsupported(
                f"ONNX Runtime's quantizer can't make this model int8: {_first_line(error)}",
                "Keep the layer in float with a scope in --recipe.",
            ) from error
    if not signed:
        relabel_products(quantized)
    _end_in_float(quantized, products)
    guard_floats(quantized, excluded)
    sort_nodes(quantized)
    sort_constants(quantized)
    return infer_shapes(quantized)


def _tensors_data(model: Model, ranges: Ranges) -> Any:
    """Ranges as the quantizer takes them, of every float activation."""
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData

    found = {name: (seen.low, seen.high) for name, seen in ranges.items()}
    for node in reversed(model.graph.node):
        # Both have the same values and steps; of an output's, nothing was clipped away.
        if node.op_type in COPIES and {node.input[0], node.output[0]} <= found.keys():
            found[node.input[0]] = _union(found[node.input[0]], found[node.output[0]])
    used, types = uses(model), element_types(model)
    for node in model.graph.node:
        # What only a Clip reads may end where the Clip does: nothing beyond comes through.
        if node.op_type in CLAMPS and used[node.input[0]] == 1 and node.output[0] in found:
            found.setdefault(node.input[0], found[node.output[0]])
    for node in model.graph.node:
        for name in node.output:
            if name and name not in found and types.get(name) == _FLOAT:
                raise InternalError(f"The range of {name!r} was not observed.")
    return TensorsData(
        CalibrationMethod.MinMax,
        {
            name: TensorData(lowest=np.float32(low), highest=np.float32(high))
            for name, (low, high) in found.items()
        },
    )


def _union(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return min(one[0], other[0]), max(one[1], other[1])


def _averages_at_the_end(model: Model) -> set[str]:
    """Names of the nodes of a tail such as GlobalAveragePool -> Squeeze -> y.

    An average is finer than the steps of what it averages. Rounded to steps again, the
    best answers of a classifier that ends so tie (SqueezeNet: 91.6% agreement with the
    original, 93.6% with this one operator in float, which takes no longer).
    """
    writers = {name: node for node in model.graph.node for name in node.output}
    found: set[str] = set()
    for value in model.graph.output:
        tail: list[str] = []
        node = writers.get(value.name)
        while node is not None and node.op_type in COPIES:
            tail.append(node.name)
            node = writers.get(node.input[0])
        if node is not None and node.op_type in _AVERAGES:
            found |= {*tail, node.name}
    return found


def _end_in_float(model: Model, products: Collection[str]) -> None:
    """Gemm -> QuantizeLinear -> DequantizeLinear -> y   becomes   Gemm -> y

    The product's kernel gives float out at no cost (QGemm), and the logits keep their
    precision (MobileNetV2: 2 of 250 answers).
    """
    writers = {name: node for node in model.graph.node for name in node.output}
    used = uses(model)
    removed: set[str] = set()
    for value in model.graph.output:
        ends = _ends(value.name, writers, used) if value.name in products else None
        if ends is not None:
            product, *steps = ends
            product.output[0] = value.name
            removed |= {step.name for step in steps}
    replace_nodes(model, [node for node in model.graph.node if node.name not in removed])


def _ends(
    name: str, writers: Mapping[str, Node], used: Mapping[str, int]
) -> tuple[Node, Node, Node] | None:
    """The product, QuantizeLinear and DequantizeLinear that alone write the output ``name``."""
    found: list[Node] = []
    for wanted in (("DequantizeLinear",), ("QuantizeLinear",), _FLOAT_ENDS):
        node = writers.get(name)
        if node is None or node.op_type not in wanted or used[name] != 1:
            return None
        found.insert(0, node)
        name = node.input[0]
    return found[0], found[1], found[2]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep the quantizer's remarks (on types, on preprocessing) to itself."""
    import logging

    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
