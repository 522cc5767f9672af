"""Why an operator of an integer TFLite file computes in float, in a sentence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.structure import float_outputs
from edgeconv.types import FloatOperator, Layer

__all__ = ["explain_floats"]

#: What tensorflow/lite/kernels/register.cc has in float alone.
_FLOAT_ALONE: Final = frozenset({
    "CEIL", "COMPLEX_ABS", "CONV_3D", "CONV_3D_TRANSPOSE", "COS", "CUMSUM", "FLOOR", "FLOOR_DIV",
    "FLOOR_MOD", "IRFFT2D", "LOCAL_RESPONSE_NORMALIZATION", "MATRIX_DIAG", "MATRIX_SET_DIAG",
    "MULTINOMIAL", "NEG", "POW", "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM", "RFFT2D", "ROUND",
    "SEGMENT_SUM", "SIGN", "SIN", "SQUARE", "UNSORTED_SEGMENT_SUM", "WHILE",
})  # fmt: skip
#: They only stand at the border of what computes in float.
_BORDER: Final = frozenset({"DEQUANTIZE", "QUANTIZE"})


def explain_floats(
    model: fb.ModelT, layers: Sequence[Layer], wanted: Collection[str]
) -> tuple[FloatOperator, ...]:
    """The operators of ``model`` that compute in float, each with the reason.

    Args:
        model: An integer file.
        layers: Of the float graph that it was made from.
        wanted: Names of tensors whose operators the recipe keeps in float.

    Returns:
        One an operator and layer, in the file's order; conversions to float and back are
        left out, for they follow from these.
    """
    owners = {layer.output: layer.name for layer in layers}
    found: dict[FloatOperator, None] = {}
    for kind, outputs in float_outputs(model):
        if kind in _BORDER:
            continue
        layer = next((owners[name] for name in outputs if name in owners), "")
        asked = any(name in wanted for name in outputs)
        found.setdefault(FloatOperator(kind, layer, _why(kind, asked)))
    return tuple(found)


def _why(kind: str, asked: bool) -> str:
    if asked:
        return "The recipe keeps this layer in float."
    if kind in _FLOAT_ALONE:
        return f"TFLite has no integer kernel for {kind}."
    return f"ai-edge-quantizer has no integer rule for {kind}, or not for these tensors."
