"""Operator types as methods of TensorFlow Lite Micro's MicroMutableOpResolver.

Source: tensorflow/lite/micro/micro_mutable_op_resolver.h, whose methods are ``Add`` and
the operator's name in camel case.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edgeconv.errors import Unsupported

__all__ = ["resolver_methods"]

_NAMES: Final = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND
    BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTH_TO_SPACE
    DEPTHWISE_CONV_2D DEQUANTIZE DIV ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV
    FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION
    L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC
    LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU
    QUANTIZE READ_VARIABLE REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX
    SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE
    STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK
    VAR_HANDLE WHILE ZEROS_LIKE
"""
_KNOWN: Final = frozenset(_NAMES.split())
#: Where camel case isn't the whole story.
_IRREGULAR: Final = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}


def resolver_methods(operators: Iterable[str]) -> list[str]:
    """The calls that register ``operators``, such as ``AddConv2D``, in their order.

    Args:
        operators: Types as in the TFLite schema, such as ``CONV_2D``.

    Raises:
        Unsupported: TensorFlow Lite Micro has no kernel for one of them.
    """
    wanted = list(operators)
    missing = [name for name in wanted if name not in _KNOWN]
    if missing:
        raise Unsupported(
            f"TensorFlow Lite Micro has no {', '.join(sorted(missing))}.",
            "Replace that layer in the model, or deploy it on a device with LiteRT.",
        )
    return ["Add" + _IRREGULAR.get(name, _camel(name)) for name in wanted]


def _camel(name: str) -> str:
    return "".join(part if part[0].isdigit() else part.capitalize() for part in name.split("_"))
