import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.prepare.round_solver import round_columns

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed, batch=1, length=12, outputs=5, mixed=True):
    """Columns in steps, and the second moments of correlated inputs."""
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(batch, length, outputs))
    columns *= 127 / np.abs(columns).max(axis=1, keepdims=True)
    x = rng.normal(size=(batch, 400, length))
    if mixed:
        x = x @ rng.normal(size=(batch, length, length))
    gram = x.transpose(0, 2, 1) @ x / 400
    return columns, gram + 0.01 * np.eye(length)


def cost(chosen, columns, gram):
    error = chosen - columns
    return (error * (gram @ error)).sum(axis=1)


@given(SEEDS)
@settings(max_examples=30)
def test_no_single_step_of_one_weight_changes_the_products_less(seed):
    columns, gram = problem(seed, batch=2)
    chosen = round_columns(columns, gram)
    best = cost(chosen, columns, gram)
    peaks = np.abs(columns).argmax(axis=1)
    for k, step in itertools.product(range(columns.shape[1]), (-1, 1)):
        other = chosen.copy()
        other[:, k] += step
        allowed = (np.abs(other[:, k]) <= 127) & (peaks != k)
        assert (cost(other, columns, gram)[allowed] >= best[allowed] * (1 - 1e-4)).all()


@given(SEEDS)
@settings(max_examples=30)
def test_every_weight_is_an_int8_and_the_largest_of_a_channel_keeps_its_127(seed):
    columns, gram = problem(seed, batch=3)
    chosen = round_columns(columns, gram)
    peaks = np.abs(columns).argmax(axis=1)[:, np.newaxis]
    assert (chosen == np.rint(chosen)).all()
    assert np.abs(chosen).max() == 127
    np.testing.assert_array_equal(
        np.take_along_axis(chosen, peaks, 1), np.rint(np.take_along_axis(columns, peaks, 1))
    )


def test_inputs_that_have_nothing_to_do_with_each_other_are_rounded_to_nearest():
    columns, _ = problem(0)
    power = np.diag(np.random.default_rng(0).uniform(0.1, 10, columns.shape[1]))[np.newaxis]
    np.testing.assert_array_equal(round_columns(columns, power), np.rint(columns))


def test_correlated_inputs_lose_most_of_what_rounding_to_nearest_costs():
    columns, gram = problem(1, length=200, outputs=64)
    nearest = cost(np.rint(columns), columns, gram).sum()
    assert cost(round_columns(columns, gram), columns, gram).sum() < 0.5 * nearest


def test_it_comes_near_the_best_of_all_roundings():
    ratios = []
    for seed in range(20):
        columns, gram = problem(seed, length=7, outputs=1)
        free = [k for k in range(7) if k != np.abs(columns[0, :, 0]).argmax()]
        every = np.repeat(np.rint(columns), 3**6, axis=0)
        every[:, free, 0] += np.array(list(itertools.product((-1, 0, 1), repeat=6)))
        every = every[(np.abs(every) <= 127).all(axis=(1, 2))]
        best = cost(every, columns, gram).min()
        ratios.append(cost(round_columns(columns, gram), columns, gram)[0, 0] / best)
    assert np.median(ratios) < 1.2


@pytest.mark.parametrize("length", [1, 63, 64, 65, 130])
def test_blocks_of_coordinates_meet_without_a_seam(length):
    columns, gram = problem(2, length=length, outputs=3)
    chosen = round_columns(columns, gram)
    assert cost(chosen, columns, gram).sum() <= cost(np.rint(columns), columns, gram).sum()


def test_columns_that_settle_early_are_what_they_are_alone():
    columns, gram = problem(3, length=30, outputs=8)
    together = round_columns(columns, gram)
    alone = [round_columns(columns[:, :, o : o + 1], gram) for o in range(8)]
    np.testing.assert_array_equal(together, np.concatenate(alone, axis=2))
