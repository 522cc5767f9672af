"""The mean's interval: against plain formulas, Student's tables and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.verify.moments import Moments, student_quantile


def moments(values):
    found = Moments()
    found.add(values)
    return found


# Published tables of Student's t.
@pytest.mark.parametrize(
    ("probability", "freedom", "value"),
    [
        *((0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 3, 3.182), (0.975, 4, 2.776)),
        *((0.95, 1, 6.314), (0.95, 3, 2.353), (0.95, 9, 1.833), (0.975, 30, 2.042)),
        (0.95, 249, 1.651),
    ],
)
def test_student_s_quantiles_are_the_table_s(probability, freedom, value):
    assert student_quantile(probability, freedom) == pytest.approx(value, rel=2e-3)
    assert student_quantile(1 - probability, freedom) == pytest.approx(-value, rel=2e-3)


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=60))
@settings(max_examples=100, deadline=None)
def test_the_interval_holds_the_mean_in_order(values):
    found = moments(values)
    interval = found.interval()
    slack = 1e-7 * (1 + max(abs(v) for v in values))
    assert found.mean == pytest.approx(np.mean(values), abs=slack)
    low, high = interval.ci95
    assert low <= interval.lower95 + slack and interval.lower95 <= interval.estimate + slack
    assert interval.estimate <= interval.upper95 + slack and interval.upper95 <= high + slack


def test_without_skew_it_is_student_s_interval():
    values = [-3.0, -1.0, 0.0, 1.0, 3.0]
    reach = 2.776 * np.std(values, ddof=1) / math.sqrt(5)
    assert moments(values).interval().ci95 == pytest.approx((-reach, reach), rel=1e-3)


def test_a_long_right_tail_reaches_further_up_than_down():
    interval = moments(np.random.default_rng(0).lognormal(0, 1, 200).tolist()).interval()
    assert interval.upper95 - interval.estimate > 1.1 * (interval.estimate - interval.lower95)


@pytest.mark.parametrize(
    ("draw", "mean", "least"),
    [
        (lambda r, shape: r.lognormal(0, 1, shape), math.exp(0.5), 0.91),
        (lambda r, shape: r.exponential(1, shape), 1.0, 0.925),
        (lambda r, shape: r.normal(0, 1, shape), 0.0, 0.925),
    ],
)
def test_coverage_at_250_items(draw, mean, least):
    """Student's upper bound holds the mean of the lognormal in only 90%."""
    found = [moments(row).interval() for row in draw(np.random.default_rng(0), (600, 250)).tolist()]
    assert np.mean([mean <= each.upper95 for each in found]) > least
    assert np.mean([each.lower95 <= mean for each in found]) > 0.925
    assert np.mean([each.ci95[0] <= mean <= each.ci95[1] for each in found]) > 0.92


def test_the_bounds_stay_where_a_mean_can_be():
    interval = moments([0.0, 0.0, 0.0, 5.0]).interval(lowest=0.0)
    assert interval.ci95[0] == interval.lower95 == 0.0


def test_one_number_has_no_interval_and_equal_ones_a_point():
    assert moments([3.0]).interval() is None and moments([]).interval() is None
    assert moments([2.0] * 9).interval().ci95 == (2.0, 2.0)
