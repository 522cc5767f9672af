"""The sums behind blame, on arrays whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeconv.verify.blame.gauge import Gauge, decibels, energy
from edgeconv.verify.blame.ranges import counts
from edgeconv.verify.blame.runs import Look


def look(expected, found):
    return Look(expected, found, expected, found)


def test_decibels_of_a_tenth_are_twenty():
    assert decibels(100.0, 1.0) == pytest.approx(20.0)
    assert decibels(1.0, 0.0) is None and decibels(0.0, 1.0) is None
    assert decibels(1.0, math.inf) is None


@given(st.integers(1, 5000), st.integers(0, 2**31))
def test_energy_is_the_sum_of_squares(size, seed):
    value = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    assert energy(value) == pytest.approx(float(np.sum(value.astype(np.float64) ** 2)), rel=1e-5)


def test_the_energy_of_nan_is_infinite():
    assert energy(np.array([1.0, np.nan], np.float32)) == math.inf
    assert energy(np.zeros(0, np.float32)) == 0.0


def test_a_constant_in_each_channel_is_all_shift():
    expected = np.random.default_rng(0).normal(size=(1, 5, 5, 3)).astype(np.float32)
    gauge = Gauge(None, channel_axis=-1)
    for _ in range(2):
        gauge.add(look(expected, expected + np.array([0.5, 0.0, -0.25], np.float32)))
    assert gauge.shift == pytest.approx([0.5, 0.0, -0.25], abs=1e-6)
    assert gauge.shift_share == pytest.approx(1.0, abs=1e-5)
    assert gauge.positions == 50


def test_noise_without_a_mean_is_no_shift():
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(1, 3, 40, 40)).astype(np.float32)
    gauge = Gauge(None, channel_axis=1)
    gauge.add(look(expected, expected + rng.normal(size=expected.shape).astype(np.float32)))
    assert gauge.shift_share < 0.01


def test_values_beyond_a_step_of_the_range_are_clipped():
    expected = np.array([[0.0, 0.5, 1.0, 1.5]], np.float32)
    gauge = Gauge((0.0, 1.0), channel_axis=-1)
    gauge.add(look(expected, np.clip(expected, 0, 1)))
    assert gauge.clipped == 25.0
    assert (gauge.low, gauge.high) == (0.0, 1.5)


def test_counts_hold_every_value_once():
    values = np.array([-9.0, 0.0, 0.5, 1.0, 9.0, np.nan])
    found = counts(values, 0.0, 1.0)
    assert len(found) == 48 and sum(found) == 6
    assert sum(counts(np.ones(7), 1.0, 1.0)) == 7
