"""What can go wrong at a model's two ends: layout, zero points, softmax, dequantization.

All change the model files, or what the manifest says of their inputs and outputs.
"""

from dataclasses import replace

import numpy as np

from tests.faults import onnx_surgery, tflite_surgery
from tests.faults.draft import Draft
from tests.faults.skew_faults import Skew
from tests.faults.tflite_parts import TfliteModel

_LOWEST = -128


def softmax_twice(draft: Draft) -> None:
    """The files end in a softmax, and the manifest still asks for one."""
    draft.change("tflite", tflite_surgery.with_softmax)
    draft.change("onnx", onnx_surgery.with_softmax)
    (output,) = draft.entry("tflite")["outputs"]
    output.update(name="twice", scale=tflite_surgery.SOFTMAX_SCALE, zero_point=_LOWEST)
    (output,) = draft.entry("onnx")["outputs"]
    output["name"] = "twice"


def dequantization_forgotten(draft: Draft) -> None:
    """The raw integers of the output are taken for its values."""
    (output,) = draft.entry("tflite")["outputs"]
    scale, zero_point = float(output["scale"]), int(output["zero_point"]) - _LOWEST
    output.update(scale=None, zero_point=None)
    # The ONNX file's own output is float: it gets the same integers.
    draft.change(
        "onnx", lambda content: onnx_surgery.with_integer_output(content, scale, zero_point)
    )
    (output,) = draft.entry("onnx")["outputs"]
    output.update(name="raw", dtype="uint8")


def logits_saturated(draft: Draft) -> None:
    """The output's range ends at a quarter of what it should hold: the best scores are equal."""
    tflite = TfliteModel(draft.models["tflite"])
    last = list(tflite.fused)[-1]
    parts = tflite[last]
    assert parts.scale is not None
    scale = float(np.float32(parts.scale / 4))
    tflite[last] = replace(parts, scale=scale)
    draft.models["tflite"] = tflite.to_bytes()
    draft.entry("tflite")["outputs"][0]["scale"] = scale
    low, high = (scale * (end - parts.zero_point) for end in (0, 255))
    draft.change("onnx", lambda content: onnx_surgery.with_clip(content, low, high))
    draft.entry("onnx")["outputs"][0]["name"] = "clipped"


def input_zero_point_forgotten(draft: Draft) -> None:
    """The input's integers are made, or read, as if zero stood where it doesn't."""
    (spec,) = draft.entry("tflite")["inputs"]
    # An input of 0..255 has its zero at -128; one of -1..1 near 0, and is taken for unsigned.
    spec["zero_point"] = 0 if spec["zero_point"] == _LOWEST else _LOWEST
    draft.change("onnx", onnx_surgery.with_other_input_zero)


def channels_first(draft: Draft) -> None:
    """The bytes of [H, W, C] are taken for [C, H, W]: reshaped where a transpose was due."""
    draft.change("tflite", tflite_surgery.with_mixed_layout)
    draft.change("onnx", onnx_surgery.with_mixed_layout)


#: The last two look like no mistake of preprocessing.
HEADS: tuple[Skew, ...] = (
    Skew("softmax applied twice", frozenset({"double-softmax"}), softmax_twice, False),
    Skew("output not dequantized", frozenset({"not-dequantized"}), dequantization_forgotten, False),
    Skew("NHWC read as NCHW", frozenset({"layout"}), channels_first),
    Skew("input zero point forgotten", frozenset(), input_zero_point_forgotten),
    Skew("logits saturated", frozenset(), logits_saturated),
)
