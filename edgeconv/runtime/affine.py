"""q = clip(round(x / scale) + zero_point);  x = (q - zero_point) * scale.

The affine map between real values and the integers of a quantized tensor, in
float32 and with halves rounded to even, as XNNPACK and ONNX's QuantizeLinear
compute it inside a model.

Source: Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", CVPR 2018, equation 1.
"""

from __future__ import annotations

import numpy as np

from edgeconv.errors import RefusedInput
from edgeconv.types import Array, TensorSpec

__all__ = ["dequantize", "finite_float32", "quantize"]


def finite_float32(x: Array, name: str) -> Array:
    """``x`` as contiguous float32.

    Args:
        x: Numbers of any kind and shape.
        name: What messages call it.

    Raises:
        RefusedInput: A value is NaN, infinite, or too large for float32.
    """
    with np.errstate(over="ignore"):  # 1e300 becomes infinite, and is refused as such
        ready = np.ascontiguousarray(x, np.float32)
    if x.dtype.kind == "f" and not np.isfinite(ready).all():
        raise RefusedInput(
            f"{name} holds NaN or infinite values in float32.", "Mend whatever made the array."
        )
    return ready


def quantize(x: Array, spec: TensorSpec) -> Array:
    """Real values in the file's own dtype.

    Args:
        x: float32 [...].
        spec: The tensor; without a scale the values are only cast.

    Returns:
        An array of ``spec.dtype`` and the shape of ``x``; what lies outside the
        range of an integer dtype is clipped to it.
    """
    dtype = np.dtype(spec.dtype)
    if spec.scale is None:
        if dtype.kind not in "iu":
            return x.astype(dtype, copy=False)
        steps = np.rint(x)
    else:
        steps = x / np.float32(spec.scale)
        np.rint(steps, out=steps)
        if spec.zero_point:
            steps += np.float32(spec.zero_point)
    limits = np.iinfo(dtype)
    np.clip(steps, limits.min, limits.max, out=steps)
    return steps.astype(dtype)


def dequantize(q: Array, spec: TensorSpec) -> Array:
    """What the engine returned, as real values.

    Args:
        q: Of ``spec.dtype``, any shape.
        spec: The tensor; without a scale the values are only cast.

    Returns:
        float32, the shape of ``q``.
    """
    x = q.astype(np.float32)
    if spec.scale is not None:
        if spec.zero_point:
            x -= np.float32(spec.zero_point)
        x *= np.float32(spec.scale)
    return x
