import itertools

import numpy as np
import pytest

from edgeconv.prepare.round_inputs import Moments, patches
from edgeconv.types import Window

ALL = 10**6


def convolve(x, kernel, window, pads):
    """x [H, W, C] convolved by hand with [h, w, C / groups, O]; float64 [positions, O]."""
    (top, left, bottom, right), (h, w) = pads, kernel.shape[:2]
    x = np.pad(x.astype(np.float64), [(top, bottom), (left, right), (0, 0)])
    (sh, sw), (dh, dw), groups = window.strides, window.dilations, window.groups
    rows = range(0, x.shape[0] - (h - 1) * dh, sh)
    columns = range(0, x.shape[1] - (w - 1) * dw, sw)
    outputs = kernel.shape[3] // groups
    found = []
    for i, j in itertools.product(rows, columns):
        under = x[i : i + (h - 1) * dh + 1 : dh, j : j + (w - 1) * dw + 1 : dw]
        parts = np.split(under, groups, axis=2)
        found.append(
            [
                (parts[o // outputs] * kernel[:, :, :, o].astype(np.float64)).sum()
                for o in range(kernel.shape[3])
            ]
        )
    return np.array(found)


CASES = {
    "same": (Window((1, 1), (1, 1), None, 1), (1, 1, 1, 1)),
    "same, stride 2 on 8 rows": (Window((2, 2), (1, 1), None, 1), (0, 0, 1, 1)),
    "valid": (Window((1, 1), (1, 1), (0, 0, 0, 0), 1), (0, 0, 0, 0)),
    "dilated": (Window((1, 1), (2, 2), (2, 2, 2, 2), 1), (2, 2, 2, 2)),
    "padded before alone": (Window((2, 1), (1, 1), (1, 0, 0, 1), 1), (1, 0, 0, 1)),
    "grouped": (Window((1, 1), (1, 1), (1, 1, 1, 1), 2), (1, 1, 1, 1)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("channel_axis", [-1, 1])
def test_rows_times_the_kernel_are_what_the_convolution_puts_out(case, channel_axis):
    window, pads = CASES[case]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 8, 4)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 4 // window.groups, 6)).astype(np.float32)
    window = Window(window.strides, window.dilations, window.pads, window.groups, channel_axis)
    given = np.moveaxis(x[np.newaxis], -1, channel_axis)

    rows = patches(given, kernel.shape, window, 0, ALL)

    columns = kernel.reshape(rows.shape[2], window.groups, -1)
    found = np.einsum("ngk,kgo->ngo", rows, columns).reshape(len(rows), -1)
    np.testing.assert_allclose(found, convolve(x, kernel, window, pads), atol=1e-4)


def test_a_depthwise_layer_has_a_group_a_channel():
    x = np.random.default_rng(0).normal(size=(1, 6, 6, 5)).astype(np.float32)
    rows = patches(x, (3, 3, 5, 2), Window((1, 1), (1, 1), (0, 0, 0, 0), 5), 0, ALL)
    assert rows.shape == (16, 5, 9)
    np.testing.assert_array_equal(rows[0, 3], x[0, :3, :3, 3].ravel())


def test_a_dense_layer_reads_what_was_flattened_on_its_way():
    x = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    np.testing.assert_array_equal(patches(x, (24, 7), None, 3, 1)[:, 0], x.reshape(1, 24))


def test_about_as_many_positions_are_taken_as_asked_for_and_not_the_same_of_every_item():
    x = np.zeros((1, 112, 112, 1), np.float32)
    x[0] = np.arange(112 * 112).reshape(112, 112, 1)
    window = Window((1, 1), (1, 1), None, 1)
    first, second = (patches(x, (1, 1, 1, 1), window, n, 64).ravel() for n in (0, 1))
    assert 60 <= len(first) <= 70
    assert not set(first) & set(second)


def test_moments_are_those_of_all_rows_however_they_come():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(1000, 3, 4)) + 2).astype(np.float32)
    moments = Moments(3, 4)
    for part in np.array_split(rows, 7):
        moments.update(part)
    gram = moments.gram(centred=True)
    for group in range(3):
        np.testing.assert_allclose(gram[group], np.cov(rows[:, group].T, bias=True), atol=1e-4)
    assert moments.count == 1000


def test_a_mean_far_from_zero_leaves_the_deviations_their_bits():
    rng = np.random.default_rng(0)
    rows = (1000 + 0.1 * rng.normal(size=(2000, 1, 3))).astype(np.float32)
    moments = Moments(1, 3)
    for part in np.array_split(rows, 5):
        moments.update(part)
    found = moments.gram(centred=True)[0]
    np.testing.assert_allclose(found, np.cov(rows[:, 0].T.astype(np.float64), bias=True), atol=1e-5)


def test_moments_around_zero_keep_the_mean():
    rows = np.full((10, 1, 2), 3.0, np.float32)
    moments = Moments(1, 2)
    moments.update(rows)
    np.testing.assert_allclose(moments.gram(centred=False), np.full((1, 2, 2), 9.0))
