"""The gate's own error rates, simulated: 2,000 exports at each size and rate of discordance.

The true drop is known here, so what the gate says can be held against it. A rate
of at most 5% shows in 2,000 draws as more than 131 passes only once in a thousand
simulations (binomial), which is the bound of the tests.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.verify.checks import check
from edgeconv.verify.gate import Gate, status
from edgeconv.verify.metrics import Measurement
from edgeconv.verify.paired import paired_drop, wilson

DRAWS = 2000
SIZES = (250, 1000, 5000)
#: Share of pictures that exactly one of the models gets right, percent.
DISCORDANCE = (1.0, 2.0, 5.0, 10.0, 15.0)


def binomial_quantile(n, p, level):
    """Smallest k with P(X <= k) >= level."""
    total, k = 0.0, -1
    while total < level:
        k += 1
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        total += math.exp(ways + k * math.log(p) + (n - k) * math.log1p(-p))
    return k


MOST = binomial_quantile(DRAWS, 0.05, 0.999)


def test_the_bound_of_the_simulations_is_the_binomial_s():
    assert MOST == 131


def simulate(n, drop, discordance, margin=1.0, seed=5):
    """How many of 2,000 exports pass and fail; each pair of counts is judged once."""
    b, c = (discordance + drop) / 200, (discordance - drop) / 200
    draws = np.random.default_rng(seed).multinomial(n, [b, c, 1 - b - c], size=DRAWS)
    cases, times = np.unique(draws[:, :2], axis=0, return_counts=True)
    seen = {"pass": 0, "fail": 0, "inconclusive": 0}
    for (one, other), count in zip(cases.tolist(), times.tolist(), strict=True):
        metrics = {"top1_drop": paired_drop(one, other, n)}
        seen[check("top1_drop", margin, None, metrics).status] += count
    return seen


@pytest.mark.parametrize("discordance", DISCORDANCE)
@pytest.mark.parametrize("n", SIZES)
def test_a_drop_on_the_margin_passes_in_at_most_5_percent(n, discordance):
    seen = simulate(n, 1.0, discordance)
    assert seen["pass"] <= MOST, f"{seen['pass'] / DRAWS:.1%} of models on the margin passed"


@pytest.mark.parametrize("n", SIZES)
def test_the_other_margins_hold_their_level_too(n):
    for margin in (0.5, 2.0, 5.0):
        assert simulate(n, margin, max(6.0, margin), margin)["pass"] <= MOST


@pytest.mark.parametrize("discordance", DISCORDANCE)
def test_a_drop_on_the_margin_fails_in_little_more_than_5_percent(discordance):
    # The score test is asymptotic: exact enumeration gives 5.7% at worst (2%, 250).
    worst = binomial_quantile(DRAWS, 0.058, 0.999)
    assert all(simulate(n, 1.0, discordance)["fail"] <= worst for n in SIZES)


@pytest.mark.parametrize("n", [1, 5, *SIZES])
def test_equal_answers_never_fail(n):
    assert simulate(n, 0.0, 0.0)["fail"] == 0
    found = Measurement(n, True, 0, 0, n, False, (), {"top1_drop": paired_drop(0, 0, n)})
    assert status(Gate(), "top1", found, "int8").status == ("pass" if n > 267 else "inconclusive")


@pytest.mark.parametrize(
    ("n", "most"),
    # Exact enumeration at 15% discordance: 2.0%, 0.7%, 0.03%. Rarer discordance fails less.
    [(250, 0.0202), (1000, 0.007), (5000, 0.0003)],
)
@pytest.mark.parametrize("discordance", DISCORDANCE)
def test_a_model_without_a_drop_fails_only_by_bad_luck(n, most, discordance):
    seen = simulate(n, 0.0, discordance)
    assert seen["fail"] <= binomial_quantile(DRAWS, most, 0.999)


def test_a_drop_of_two_points_hardly_ever_passes():
    assert simulate(250, 2.0, 6.0)["pass"] <= 0.02 * DRAWS
    assert simulate(1000, 2.0, 6.0)["pass"] <= 2
    assert simulate(5000, 2.0, 6.0)["pass"] == 0


@given(
    st.integers(1, 3000).flatmap(
        lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n))
    ),
    st.floats(0, 10),
)
@settings(max_examples=200, deadline=None)
def test_what_was_seen_beyond_the_margin_never_passes_and_inside_never_fails(case, margin):
    b, c, n = case[0], min(case[1], case[2] - case[0]), case[2]
    drop = paired_drop(b, c, n)
    found = check("top1_drop", margin, None, {"top1_drop": drop}).status
    assert found != ("pass" if drop.estimate > margin else "fail")


@pytest.mark.parametrize("n", SIZES)
def test_agreement_on_its_margin_passes_in_at_most_5_percent(n):
    hits, times = np.unique(np.random.default_rng(5).binomial(n, 0.9, DRAWS), return_counts=True)
    metrics = [{"agreement_interval": wilson(int(k), n)} for k in hits]
    passed = [check("agreement", 90.0, None, each).status == "pass" for each in metrics]
    # Exact: 5.1% at 250, for the counts are whole.
    assert np.dot(passed, times) <= binomial_quantile(DRAWS, 0.0515, 0.999)
