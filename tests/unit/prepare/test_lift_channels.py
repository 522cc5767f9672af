import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeconv.prepare.base import Floats
from edgeconv.prepare.lift_channels import input_scale, lift_channels, lift_kernel
from edgeconv.types import Layer, Recipe, TensorRange

S_IN = 6 / 255
SMALL = st.floats(-1.0, 1.0, width=32)
BIASES = arrays(np.float32, 4, elements=st.floats(-100.0, 100.0, width=32))
#: Exponents: channels from alive to dead.
POWERS = arrays(np.int64, 4, elements=st.integers(-14, 0))


def bias_steps(kernel, bias, s_in):
    """|bias_q| as an exact quantizer would have it, with the floor that it puts under scales."""
    largest = np.abs(kernel.reshape(-1, bias.size).astype(np.float64)).max(axis=0)
    return np.abs(bias) / (s_in * np.maximum(largest, 1e-9) / 127)


@given(arrays(np.float32, (3, 3, 2, 4), elements=SMALL), BIASES, POWERS)
def test_no_bias_leaves_half_of_int32(kernel, bias, powers):
    kernel = (kernel * 10.0**powers).astype(np.float32)
    lifted = lift_kernel(kernel, bias, S_IN)
    after = kernel if lifted is None else lifted
    assert bias_steps(after, bias, S_IN).max() <= 2**30 * (1 + 1e-6)


@given(arrays(np.float32, (3, 3, 2, 4), elements=SMALL), BIASES, POWERS)
def test_at_most_one_weight_a_channel_changes_and_hardly_matters(kernel, bias, powers):
    kernel = (kernel * 10.0**powers).astype(np.float32)
    lifted = lift_kernel(kernel, bias, S_IN)
    if lifted is None:
        return
    change = (lifted.astype(np.float64) - kernel).reshape(-1, 4)
    assert ((change != 0).sum(axis=0) <= 1).all()
    moved = np.abs(change).sum(axis=0) * 255 * S_IN
    assert (moved <= 6.1e-5 * np.abs(bias)).all()


def test_a_healthy_kernel_is_left_alone():
    assert lift_kernel(np.full((1, 1, 8, 4), 0.1, np.float32), np.ones(4, np.float32), S_IN) is None


def test_channels_of_a_depthwise_kernel_are_counted_as_its_outputs_are():
    kernel = np.full((3, 3, 2, 2), 0.1, np.float32)
    kernel[:, :, 1, 0] = 1e-10
    lifted = lift_kernel(kernel, np.full(4, 2.0, np.float32), S_IN)
    changed = np.argwhere(lifted != kernel)
    assert len(changed) == 1
    assert tuple(changed[0][2:]) == (1, 0)


def test_a_channel_of_zeros_is_lifted_too():
    lifted = lift_kernel(np.zeros((4, 1), np.float32), np.full(1, 2.0, np.float32), S_IN)
    assert bias_steps(lifted, np.full(1, 2.0), S_IN).max() <= 2**30 * (1 + 1e-6)


def test_the_sign_of_the_lifted_weight_is_kept():
    kernel = np.array([[1e-12], [-1e-10]], np.float32)
    assert lift_kernel(kernel, np.full(1, 2.0, np.float32), S_IN)[1, 0] < 0


@pytest.mark.parametrize(("precision", "scale"), [("int8", 8.0 / 255), ("int16x8", 6.0 / 32767)])
def test_the_scale_of_an_input_follows_the_precision(precision, scale):
    assert input_scale(TensorRange(-2.0, 6.0), precision) == pytest.approx(scale)


def floats(precision="int8", inputs=("x",), bias=True):
    kernel = np.array([[0.5, 1e-10]], np.float32)
    biases = np.array([2.0, 2.0], np.float32) if bias else None
    layer = Layer("dense", "FULLY_CONNECTED", "y", "w", "b", inputs)
    weights = {"dense": (kernel, biases)}
    return Floats([layer], weights, {"x": TensorRange(0.0, 6.0)}, {"dense": precision}, Recipe())


def test_only_changed_layers_are_returned_and_their_biases_kept():
    changed = lift_channels(floats())
    kernel, bias = changed["dense"]
    assert kernel[0, 0] == np.float32(0.5) and kernel[0, 1] > 1e-10
    np.testing.assert_array_equal(bias, [2.0, 2.0])


@pytest.mark.parametrize(
    "case",
    [
        floats("fp32"),
        floats("dynamic"),
        floats(bias=False),
        floats(inputs=("unseen",)),
        floats(inputs=()),
    ],
    ids=["fp32", "dynamic", "no bias", "no range", "no input"],
)
def test_layers_that_no_int32_bias_is_made_for_are_left_alone(case):
    assert lift_channels(case) == {}
