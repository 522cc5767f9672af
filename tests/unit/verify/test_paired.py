"""Tango's and Wilson's intervals against published values, brute force and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.errors import InternalError
from edgeconv.verify.paired import (
    NEEDED_CAP,
    needed_for_agreement,
    needed_more,
    paired_drop,
    wilson,
)

Z = 1.959963984540054
Z_ONE = 1.6448536269514722


@st.composite
def counts(draw, most=2000):
    n = draw(st.integers(1, most))
    b = draw(st.integers(0, n))
    return b, draw(st.integers(0, n - b)), n


def flat(interval):
    return (*interval.ci95, interval.lower95, interval.upper95)


def log_likelihood(b, c, n, delta, q):
    """Of q = P(candidate alone), δ + q = P(reference alone), the rest agreeing."""
    cells = ((b, delta + q), (c, q), (n - b - c, 1 - delta - 2 * q))
    return sum(k * math.log(p) if p > 0 else (-math.inf if k else 0.0) for k, p in cells)


def nuisance_by_search(b, c, n, delta):
    """Golden-section search of the likelihood: no quadratic, no formula of Tango's."""
    low, high = max(0.0, -delta), (1 - delta) / 2
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(120):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if log_likelihood(b, c, n, delta, left) < log_likelihood(b, c, n, delta, right):
            low = left
        else:
            high = right
    return (low + high) / 2


def statistic(b, c, n, delta):
    variance = n * (2 * nuisance_by_search(b, c, n, delta) + delta * (1 - delta))
    return (b - c - n * delta) / math.sqrt(variance)


# Published values, in the order (reference alone, candidate alone, n).
@pytest.mark.parametrize(
    ("b", "c", "n", "z", "low", "high", "tolerance"),
    [
        # Airway reactivity of 21 children (Bentur et al. 2009), Tango's interval in
        # Fagerland, Lydersen, Laake, Statistics in Medicine 33 (2014): -0.517 to -0.026.
        (1, 7, 21, Z, -51.7, -2.6, 0.05),
        # R, PropCIs::scoreci.mp(25, 28, 618, conf.level = 0.90): -0.0148 to 0.0247.
        (28, 25, 618, Z_ONE, -1.48, 2.47, 0.005),
        # A table on which two other public implementations agree to five decimals.
        (48, 38, 200, Z, -4.122, 14.054, 0.001),
    ],
)
def test_tango_interval_reproduces_published_values(b, c, n, z, low, high, tolerance):
    found = paired_drop(b, c, n)
    bounds = found.ci95 if z == Z else (found.lower95, found.upper95)
    assert bounds == pytest.approx((low, high), abs=tolerance)


@pytest.mark.parametrize(
    ("b", "c", "n"),
    [
        *((0, 0, 250), (1, 0, 250), (0, 1, 250), (8, 6, 250), (1, 7, 21), (40, 20, 160)),
        # Nothing concordant, one item, and nearly everything lost.
        *((3, 3, 7), (5, 5, 10), (0, 0, 1), (0, 0, 2), (29, 1, 30), (29, 0, 30)),
    ],
)
def test_bounds_are_where_the_score_test_starts_to_reject(b, c, n):
    found = paired_drop(b, c, n)
    step = 1e-6
    for bound, z in zip(flat(found), (Z, Z, Z_ONE, Z_ONE), strict=True):
        delta = bound / 100
        sign = 1 if delta > (b - c) / n else -1
        assert abs(statistic(b, c, n, delta - sign * step)) < z
        assert abs(statistic(b, c, n, delta + sign * step)) > z


def test_five_equal_answers_prove_nothing():
    found = paired_drop(0, 0, 5)
    # With no discordance the test reduces to Wilson's for zero hits: z² / (n + z²).
    assert found.upper95 == pytest.approx(100 * Z_ONE**2 / (5 + Z_ONE**2), rel=1e-12)
    assert found.ci95 == pytest.approx((-43.4, 43.4), abs=0.1)


def test_a_total_loss_ends_at_a_hundred_points():
    found = paired_drop(30, 0, 30)
    assert found.estimate == found.ci95[1] == found.upper95 == 100.0
    assert 70 < found.ci95[0] < found.lower95 < 100


@pytest.mark.parametrize("n", [1, 2, 30, 5000])
def test_the_far_end_of_a_total_loss_is_where_the_score_test_rejects(n):
    found = paired_drop(n, 0, n)
    for bound, z in ((found.ci95[0], Z), (found.lower95, Z_ONE)):
        assert abs(statistic(n, 0, n, bound / 100 + 1e-6)) < z
        assert abs(statistic(n, 0, n, bound / 100 - 1e-6)) > z
    assert found.upper95 == 100.0 and found.lower95 < 100.0


def test_one_lost_item_of_one_proves_no_drop():
    found = paired_drop(1, 0, 1)
    assert found.estimate == 100.0 and found.lower95 < 0.0


@pytest.mark.parametrize("b", [0, 1, 123, 499_999])
def test_a_million_items_keep_their_precision(b):
    found = paired_drop(b, 0, 1_000_000)
    # Far from the edges the score interval is close to Wald's; at 0 to Wilson's.
    p = b / 1e6
    wald = Z * math.sqrt(max(p * (1 - p), 0) / 1e6)
    assert found.estimate == pytest.approx(100 * p)
    assert found.ci95[1] / 100 == pytest.approx(p + wald, abs=5e-6)


@given(counts())
@settings(max_examples=200, deadline=None)
def test_swapping_the_models_mirrors_the_interval(case):
    b, c, n = case
    one, other = paired_drop(b, c, n), paired_drop(c, b, n)
    assert one.ci95 == (-other.ci95[1], -other.ci95[0])
    assert (one.lower95, one.upper95) == (-other.upper95, -other.lower95)
    assert one.estimate == -other.estimate


@given(counts(1_000_000))
@settings(max_examples=200, deadline=None)
def test_bounds_are_ordered_and_stay_within_a_hundred_points(case):
    for found in (paired_drop(*case), wilson(case[0], case[2])):
        low, high = found.ci95
        assert -100 <= low <= found.lower95 <= found.estimate + 1e-9
        assert found.estimate - 1e-9 <= found.upper95 <= high <= 100


@given(counts(500))
@settings(max_examples=150, deadline=None)
def test_one_more_lost_answer_moves_the_interval_up(case):
    b, c, n = case
    if b + c == n:
        return
    before, after = paired_drop(b, c, n), paired_drop(b + 1, c, n)
    assert all(late >= early for early, late in zip(flat(before), flat(after), strict=True))


@given(counts(300), st.integers(2, 20))
@settings(max_examples=150, deadline=None)
def test_more_items_at_the_same_rates_narrow_the_interval(case, times):
    b, c, n = case
    few, many = paired_drop(b, c, n), paired_drop(b * times, c * times, n * times)
    assert many.upper95 <= few.upper95 + 1e-9
    assert many.lower95 >= few.lower95 - 1e-9


@pytest.mark.parametrize("rates", [(0.04, 0.03), (0.01, 0.01), (0.08, 0.02), (0.004, 0.0)])
def test_coverage_at_250_pictures(rates):
    """The share of 4000 simulated exports whose true drop the bounds hold.

    At (0.4%, 0) 37% of the draws show no discordance, where Wald's interval is
    a point and covers nothing; the score interval keeps near its level.
    """
    b, c = rates
    draws = np.random.default_rng(20).multinomial(250, [b, c, 1 - b - c], size=4000)
    cases, times = np.unique(draws[:, :2], axis=0, return_counts=True)
    found = [paired_drop(int(one), int(two), 250) for one, two in cases]
    true = 100 * (b - c)

    def share(held):
        return float(np.dot(held, times)) / 4000

    assert share([f.ci95[0] <= true <= f.ci95[1] for f in found]) > 0.935
    assert share([true <= f.upper95 for f in found]) > 0.93
    assert share([f.lower95 <= true for f in found]) > 0.93


@pytest.mark.parametrize("case", [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0)])
def test_impossible_counts_are_our_bug(case):
    with pytest.raises(InternalError):
        paired_drop(*case)


@pytest.mark.parametrize("case", [(-1, 5), (6, 5), (0, 0)])
def test_impossible_agreement_is_our_bug(case):
    with pytest.raises(InternalError):
        wilson(*case)


# scipy.stats.binomtest(k, n).proportion_ci(0.95, "wilson")
@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(231, 250, 88.43586, 95.08084), (0, 10, 0.0, 27.75328), (10, 10, 72.24672, 100.0)],
)
def test_wilson_interval_reproduces_scipy(hits, n, low, high):
    assert wilson(hits, n).ci95 == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("b", "c", "n", "margin"), [(0, 0, 250, 1.0), (4, 4, 250, 1.0), (20, 6, 250, 3.0)]
)
def test_that_many_more_decide_and_one_fewer_does_not(b, c, n, margin):
    more = needed_more(b, c, n, margin)
    assert more and more < NEEDED_CAP

    def decided(total):
        drop = paired_drop(round(b * total / n), round(c * total / n), total)
        return drop.upper95 <= margin or drop.lower95 > margin

    # Whole counts differ by at most half an item from the rates: allow for that.
    assert decided(n + round(more * 1.2) + 50)
    assert not decided(n + round(more * 0.8) - min(5, more // 4))


def test_eighteen_more_equal_pictures_decide_after_250():
    # 100 z² / (n + z²) <= 1 point first holds at n = 268.
    assert needed_more(0, 0, 250, 1.0) == 18


def test_nothing_more_is_needed_where_it_is_decided():
    assert needed_more(0, 0, 300, 1.0) == 0
    assert needed_more(60, 0, 250, 1.0) == 0


@pytest.mark.parametrize("case", [(10, 7, 300, 1.0), (0, 0, 50, 0.0), (10007, 7000, 300_000, 1.0)])
def test_no_number_decides_an_estimate_on_the_margin(case):
    assert needed_more(*case) is None


@given(counts(400), st.floats(0, 20))
@settings(max_examples=100, deadline=None)
def test_needed_is_zero_exactly_where_the_bounds_decide(case, margin):
    b, c, n = case
    drop = paired_drop(b, c, n)
    inside = drop.estimate < margin and drop.upper95 <= margin
    outside = drop.estimate >= margin and drop.lower95 > margin
    assert (needed_more(b, c, n, margin) == 0) == (inside or outside)


def test_agreement_needs_more_the_closer_it_is_to_its_margin():
    far = needed_for_agreement(236, 250, 90.0)
    near = needed_for_agreement(228, 250, 90.0)
    assert far == 0 and near and near > 100
    assert needed_for_agreement(225, 250, 90.0) is None
    assert needed_for_agreement(150, 250, 90.0) == 0


def test_agreement_extrapolates_to_the_bound_it_names():
    more = needed_for_agreement(924, 1000, 91.0)
    total = 1000 + more
    assert wilson(round(0.924 * total), total).lower95 == pytest.approx(91.0, abs=0.05)
