"""The affine map between real values and integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeconv.runtime.affine import dequantize, quantize
from edgeconv.types import TensorSpec

STEPS = st.floats(1e-6, 1e3)


@given(STEPS, st.integers(-128, 127), st.lists(st.floats(-1, 1), min_size=1))
def test_a_value_in_range_comes_back_within_half_a_step(
    scale: float, zero_point: int, shares: list[float]
) -> None:
    spec = TensorSpec("x", (None,), "int8", scale, zero_point)
    low, high = (-128 - zero_point) * scale, (127 - zero_point) * scale
    x = np.array([low + (share + 1) / 2 * (high - low) for share in shares], np.float32)
    error = np.abs(dequantize(quantize(x, spec), spec) - x)
    # float32 itself is good to 2**-23 of the values.
    assert error.max() <= scale / 2 + 2**-21 * max(abs(low), abs(high))


@pytest.mark.parametrize(("dtype", "low", "high"), [("int8", -128, 127), ("uint8", 0, 255)])
def test_what_lies_outside_is_clipped(dtype: str, low: int, high: int) -> None:
    q = quantize(np.array([-1e9, 1e9], np.float32), TensorSpec("x", (2,), dtype, 0.1, 0))
    assert q.dtype == dtype
    assert q.tolist() == [low, high]


def test_halves_are_rounded_to_even_as_xnnpack_and_onnx_do() -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5], np.float32)
    assert quantize(x, TensorSpec("x", (5,), "int8", 1.0, 0)).tolist() == [0, 2, 2, 0, -2]


def test_float_tensors_pass_untouched_and_the_input_is_not_changed() -> None:
    x = np.array([0.25, -3.0], np.float32)
    spec = TensorSpec("x", (2,), "float32")
    assert quantize(x, spec).tolist() == [0.25, -3.0]
    quantize(x, TensorSpec("x", (2,), "int8", 0.5, 3))
    assert x.tolist() == [0.25, -3.0]
    assert quantize(x, TensorSpec("x", (2,), "float16")).dtype == np.float16
    assert quantize(x, TensorSpec("x", (2,), "int32")).tolist() == [0, -3]
