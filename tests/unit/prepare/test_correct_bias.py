import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgeconv.prepare.base import Floats
from edgeconv.prepare.correct_bias import correct_bias, mean_error, rounding_error
from edgeconv.types import Layer, Recipe, TensorRange

SEEDS = st.integers(0, 2**32 - 1)


def floats_of(kernel, bias, mean, precision="int8"):
    layer = Layer("conv", "CONV_2D", "y", "w", "b", inputs=("x",))
    return Floats(
        layers=[layer],
        weights={"conv": (kernel, bias)},
        ranges={"x": TensorRange(0.0, 6.0, mean=mean)},
        precisions={"conv": precision},
        recipe=Recipe(),
    )


@given(SEEDS)
def test_the_mean_output_of_the_rounded_layer_is_that_of_the_float_layer(seed):
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(6, 4)).astype(np.float32)
    bias = rng.normal(size=4).astype(np.float32)
    x = rng.random((50, 6)) * 3
    rounded = kernel + rounding_error(kernel, 4)

    corrected = correct_bias(floats_of(kernel, bias, x.mean(axis=0)))["conv"][1]

    wanted, found = (x @ kernel + bias).mean(axis=0), (x @ rounded + corrected).mean(axis=0)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.abs((x @ rounded + bias).mean(axis=0) - wanted).max() > 1e-5


@given(SEEDS)
def test_a_depthwise_kernel_is_a_dense_one_of_zeros_and_itself(seed):
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(3, 3, 4, 2)).astype(np.float32)
    mean = rng.random(4)
    error = rounding_error(kernel, 8)

    by_hand = [error[:, :, c, m].sum() * mean[c] for c in range(4) for m in range(2)]

    np.testing.assert_allclose(mean_error(kernel, mean, 8), by_hand)


@given(SEEDS)
def test_groups_read_their_own_channels(seed):
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(1, 1, 2, 6)).astype(np.float32)
    mean = rng.random(4)
    error = rounding_error(kernel, 6)[0, 0]

    by_hand = np.concatenate([mean[:2] @ error[:, :3], mean[2:] @ error[:, 3:]])

    np.testing.assert_allclose(mean_error(kernel, mean, 6), by_hand)


@given(SEEDS)
def test_rounding_stays_within_half_a_step_of_the_channels_scale(seed):
    kernel = np.random.default_rng(seed).normal(size=(3, 3, 2, 5)).astype(np.float32)
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / 127

    assert (np.abs(rounding_error(kernel, 5)) <= scale / 2 + 1e-12).all()


def test_a_mean_that_was_flattened_on_its_way_is_left_alone():
    kernel = np.ones((12, 4), np.float32) * 0.3
    bias = np.zeros(4, np.float32)

    assert correct_bias(floats_of(kernel, bias, np.ones(5))) == {}


def test_layers_that_stay_in_float_keep_their_bias():
    kernel = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    bias = np.zeros(4, np.float32)

    assert correct_bias(floats_of(kernel, bias, np.ones(6), precision="fp32")) == {}


def test_a_dead_channel_divides_nothing_by_zero():
    assert np.isfinite(rounding_error(np.zeros((3, 3, 1, 2), np.float32), 2)).all()
