"""Rewrites of an int8 TFLite file: the same integers by operators with fast kernels.

XNNPACK, which computes TFLite models on CPUs, has no int8 kernel for some operators. The
interpreter's own are then taken, a loop over elements, and the graph falls to pieces
around each. What these passes put in their place XNNPACK has. Measured on one thread of
an AVX512 CPU, a million elements a call (``python benchmarks/latency.py --operators``):

    operator             its own kernel    in its place              by XNNPACK
    RELU                 8.7 ms            QUANTIZE                  0.03 ms
    HARD_SWISH           3.8 ms            MUL, ADD, MUL             0.05 ms
    AVERAGE_POOL_2D      4.2 ms            DEPTHWISE_CONV_2D, MUL    0.46 ms
    SQUARED_DIFFERENCE   7.4 ms            SUB, MUL                  0.15 ms

They come after quantizing, so the float model is none of their business; a file that
keeps an operator in float or int16 keeps it here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, TypeAlias

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.integer.average_pool import average_pool_by_depthwise
from edgeconv.targets.tflite.integer.edit import drop_unused_codes
from edgeconv.targets.tflite.integer.hard_swish import hard_swish_by_products
from edgeconv.targets.tflite.integer.inside import compute_inside
from edgeconv.targets.tflite.integer.relu import relu_by_quantize
from edgeconv.targets.tflite.integer.squared_difference import squared_difference_by_product

__all__ = ["PASSES", "rewrite"]

Pass: TypeAlias = Callable[[fb.ModelT], None]

PASSES: Final[tuple[Pass, ...]] = (
    relu_by_quantize,
    hard_swish_by_products,
    average_pool_by_depthwise,
    squared_difference_by_product,
)


def rewrite(model: fb.ModelT, floats: Collection[str] = ()) -> None:
    """Run all passes in order on ``model``, in place.

    Args:
        model: As ai-edge-quantizer wrote it.
        floats: Names of tensors whose operators the recipe keeps in float.
    """
    compute_inside(model, floats)  # the others may then find an int8 operator more
    for step in PASSES:
        step(model)
    drop_unused_codes(model)
