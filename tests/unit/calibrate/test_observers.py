import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeconv.calibrate import Observer
from edgeconv.calibrate.observers import grow_histogram
from edgeconv.errors import RefusedInput

VALUES = st.floats(-(2.0**100), 2.0**100, width=32)
BATCHES = st.lists(arrays(np.float32, st.integers(1, 20), elements=VALUES), min_size=1, max_size=6)


def observed(batches, bins=64):
    observer = Observer("the layer 'conv'", bins)
    for batch in batches:
        observer.update(batch)
    return observer.range()


@given(BATCHES)
def test_the_range_is_the_true_minimum_and_maximum(batches):
    everything = np.concatenate(batches)
    seen = observed(batches)
    assert (seen.low, seen.high) == (everything.min(), everything.max())


@given(BATCHES)
def test_every_value_is_counted_in_the_bin_that_holds_it(batches):
    everything = np.concatenate(batches)
    seen = observed(batches)
    assert seen.counts.sum() == everything.size
    assert np.abs(everything).max() < seen.edge
    edges = np.linspace(-seen.edge, seen.edge, 65)
    expected, _ = np.histogram(everything.astype(np.float64), edges)
    np.testing.assert_array_equal(seen.counts, expected)


@given(BATCHES, st.randoms(use_true_random=False))
def test_neither_order_nor_batch_size_changes_a_count(batches, random):
    shuffled = list(np.concatenate(batches))
    random.shuffle(shuffled)
    one, other = observed(batches), observed([np.array([v]) for v in shuffled])
    assert (one.low, one.high, one.edge) == (other.low, other.high, other.edge)
    np.testing.assert_array_equal(one.counts, other.counts)


@given(arrays(np.int64, 16, elements=st.integers(0, 1000)), st.integers(0, 300))
def test_growing_keeps_every_count(counts, doublings):
    grown = grow_histogram(counts, doublings)
    assert grown.sum() == counts.sum()
    assert grown[:8].sum() == counts[:8].sum()


def test_the_edge_is_the_next_power_of_two():
    assert observed([np.array([0.5, -3.0], np.float32)]).edge == 4.0
    assert observed([np.array([4.0], np.float32)]).edge == 8.0


def test_zeros_alone_are_counted_at_zero():
    seen = observed([np.zeros(5, np.float32)])
    assert (seen.low, seen.high) == (0.0, 0.0)
    assert seen.counts[32] == 5


def test_without_bins_only_the_extremes_are_kept():
    seen = observed([np.array([1.0, 2.0], np.float32)], bins=0)
    assert seen.counts is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_its_place_named(value):
    with pytest.raises(RefusedInput, match="the layer 'conv'"):
        observed([np.array([1.0, value, 2.0], np.float32)])


def test_a_tensor_that_nothing_reached_has_no_range():
    with pytest.raises(RefusedInput, match="No calibration data"):
        observed([np.zeros((0, 3), np.float32)])


@pytest.mark.parametrize(("shape", "axis"), [((1, 40, 30, 8), -1), ((1, 8, 40, 30), 1)])
def test_means_of_channels_are_near_the_true_ones(shape, axis):
    observer = Observer("t", channel_axis=axis)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, *shape)).astype(np.float32)
    x += np.arange(8).reshape(-1 if axis == -1 else (8, 1, 1)).astype(np.float32)
    for item in x:
        observer.update(item)
    np.testing.assert_allclose(observer.range().mean, np.arange(8), atol=0.1)


def test_a_vector_has_the_mean_of_each_entry():
    observer = Observer("t")
    observer.update(np.array([[1.0, 2.0], [3.0, 6.0]], np.float32))
    np.testing.assert_array_equal(observer.range().mean, [2.0, 4.0])
