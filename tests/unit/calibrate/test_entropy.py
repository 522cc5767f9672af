from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeconv.calibrate.entropy import _divergence, least_divergence
from edgeconv.calibrate.grid import Grid

SIGNED = Grid(254, symmetric=True)


def divergence(counts, start, end, levels=128, nothing=1e-4):
    """KL(p || q) bin by bin, as the docstring has it."""
    p = counts[start:end].astype(np.float64)
    p[0] += counts[:start].sum()
    p[-1] += counts[end:].sum()
    q = np.zeros_like(p)
    bounds = start + (end - start) * np.arange(levels + 1) // levels
    for left, right in pairwise(bounds - start):
        filled = p[left:right] > 0
        mass = max(counts[start + left : start + right].sum(), nothing)
        if filled.any():
            q[left:right][filled] = mass / filled.sum()
    p, q = p[p > 0], q[p > 0]
    kept = max(counts[start:end].sum(), 1)
    return float((p / p.sum() * np.log((p / p.sum()) / (q / kept))).sum())


@settings(deadline=None)
@given(
    arrays(np.int64, 256, elements=st.integers(0, 500)).filter(lambda counts: counts.any()),
    st.integers(0, 64),
    st.integers(192, 256),
)
def test_running_totals_give_the_divergence_of_the_definition(counts, start, end):
    found = _divergence(counts, np.array([start]), np.array([end]))[0]
    assert found == pytest.approx(divergence(counts, start, end), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("grid", [Grid(), SIGNED], ids=["asymmetric", "symmetric"])
def test_the_bulk_of_a_long_tail_is_picked(grid):
    rng = np.random.default_rng(0)
    values = np.append(rng.normal(size=200_000), rng.uniform(5, 60, 200))
    counts = np.histogram(values, 2048, (-64.0, 64.0))[0]
    low, high = least_divergence(counts, 64.0, values.min(), values.max(), grid)
    assert 3 < high < 15, "the tail was kept, or the bulk cut"
    assert low <= -3


def test_each_end_is_chosen_for_itself():
    values = np.random.default_rng(0).gamma(2.0, size=200_000) - 0.5
    counts = np.histogram(values, 2048, (-32.0, 32.0))[0]
    low, high = least_divergence(counts, 32.0, values.min(), values.max(), Grid())
    assert low == pytest.approx(-0.5, abs=0.1)
    assert 5 < high < values.max()


def test_what_has_no_tail_is_kept_whole():
    values = np.random.default_rng(0).uniform(0, 6, 100_000)
    counts = np.histogram(values, 2048, (-8.0, 8.0))[0]
    assert least_divergence(counts, 8.0, 0.0, 6.0, Grid()) == pytest.approx((0.0, 6.0), abs=0.2)


@pytest.mark.parametrize("grid", [Grid(), SIGNED], ids=["asymmetric", "symmetric"])
def test_a_tensor_of_zeros_keeps_its_ends(grid):
    counts = np.zeros(2048, np.int64)
    counts[1024] = 1000
    assert least_divergence(counts, 8.0, -1.0, 2.0, grid) == (-1.0, 2.0)


def test_zeros_don_t_count_however_many_there_are():
    values = np.random.default_rng(0).exponential(size=10_000) + 0.1
    few = np.histogram(values, 2048, (-16.0, 16.0))[0]
    many = few.copy()
    many[1024] += 10**9
    one, other = (least_divergence(c, 16.0, 0.0, values.max(), Grid()) for c in (few, many))
    assert one == other
