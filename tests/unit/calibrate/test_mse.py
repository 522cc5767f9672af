import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeconv.calibrate import CALIBRATORS, Observer
from edgeconv.calibrate.grid import Grid, grid_of
from edgeconv.calibrate.mse import least_squared_error
from edgeconv.types import Recipe, Scope

BINS = 64
COUNTS = arrays(np.int64, BINS, elements=st.integers(0, 1000))
GRIDS = st.sampled_from([Grid(), Grid(15), Grid(254, symmetric=True), Grid(65534, symmetric=True)])


def squared_error(counts, edge, low, high, grid):
    """The docstring's sum, bin by bin."""
    if grid.symmetric:
        low, high = -max(-low, high), max(-low, high)
    width = 2 * edge / counts.size
    step = (high - low) / grid.steps
    total = 0.0
    for index, n in enumerate(counts):
        left = -edge + index * width
        middle = left + width / 2
        if index == counts.size // 2:
            continue
        if left + width <= low or left >= high:
            away = max(low - middle, middle - high)
            total += n * (away**2 + width**2 / 12)
        else:
            total += n * step**2 / 12
    return total


def ends(counts, edge, part):
    """Some true minimum and maximum within the outermost filled bins."""
    width = 2 * edge / counts.size
    filled = np.flatnonzero(counts)
    first, last = (filled[0], filled[-1]) if filled.size else (counts.size // 2,) * 2
    return -edge + (first + part) * width, -edge + (last + 1 - part) * width


@settings(deadline=None, max_examples=25)
@given(COUNTS, GRIDS, st.floats(0.01, 0.4))
def test_no_pair_of_ends_has_a_smaller_error(counts, grid, part):
    edge, width = 4.0, 8.0 / BINS
    low, high = ends(counts, edge, part)
    found = least_squared_error(counts, edge, low, high, grid)
    reached = squared_error(counts, edge, *found, grid)
    lows = [min(low, 0.0), *(-k * width for k in range(BINS // 2) if -k * width > low)]
    highs = [max(high, 0.0), *(k * width for k in range(BINS // 2) if k * width < high)]
    others = [(a, b) for a in lows for b in highs if b > a]
    if grid.symmetric:
        reach = max(-low, high, 0)
        others = [(max(-m, lows[0]), min(m, highs[0])) for m in (*highs, *(-a for a in lows)) if m]
        others = [pair for pair in others if max(-pair[0], pair[1]) <= reach]
    best = min((squared_error(counts, edge, *pair, grid) for pair in others), default=0.0)
    assert reached <= best * (1 + 1e-9) + 1e-9


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["normal", "laplace", "standard_t", "exponential", "relu"]),
)
def test_the_error_is_at_most_that_of_minmax_and_of_percentile(seed, shape):
    rng = np.random.default_rng(seed)
    draw = {
        "standard_t": lambda: rng.standard_t(2, 5000),
        "relu": lambda: np.maximum(rng.normal(size=5000), 0),
    }.get(shape) or (lambda: getattr(rng, shape)(size=5000))
    observer = Observer("t", 2048)
    for _ in range(3):
        observer.update(draw().astype(np.float32))
    seen, recipe = observer.range(), Recipe()
    errors = {}
    for name in ("minmax", "percentile", "mse"):
        low, high = CALIBRATORS[name](seen, recipe, Grid())
        errors[name] = squared_error(seen.counts, seen.edge, min(low, 0), max(high, 0), Grid())
    assert errors["mse"] <= min(errors["minmax"], errors["percentile"]) * (1 + 1e-9), errors


def test_the_error_predicted_is_the_error_that_quantizing_makes():
    values = np.random.default_rng(0).laplace(size=100_000)
    values = values[np.abs(values) < 15.9]
    counts = np.histogram(values, 2048, (-16.0, 16.0))[0]
    low, high = least_squared_error(counts, 16.0, values.min(), values.max(), Grid())
    step = (high - low) / 255
    rounded = np.clip(np.rint(values / step) * step, low, high)
    true = np.square(values - rounded).sum()
    assert squared_error(counts, 16.0, low, high, Grid()) == pytest.approx(true, rel=0.05)
    assert low > values.min() and high < values.max(), "a long tail is to be cut"


def test_what_relu_puts_out_has_no_end_below_zero():
    values = np.maximum(np.random.default_rng(0).normal(size=10_000), 0)
    counts = np.histogram(values, 2048, (-8.0, 8.0))[0]
    low, high = least_squared_error(counts, 8.0, 0.0, values.max(), Grid())
    assert low == 0.0 and 2.0 < high <= values.max()


def test_zeros_don_t_count_however_many_there_are():
    values = np.random.default_rng(0).exponential(size=10_000) + 0.1
    few = np.histogram(values, 2048, (-16.0, 16.0))[0]
    many = few.copy()
    many[1024] += 10**9
    one, other = (least_squared_error(c, 16.0, 0.0, values.max(), Grid()) for c in (few, many))
    assert one == other


def test_finer_grids_cut_less():
    values = np.random.default_rng(0).laplace(size=50_000)
    counts = np.histogram(values, 2048, (-16.0, 16.0))[0]
    reach = [
        least_squared_error(counts, 16.0, values.min(), values.max(), Grid(steps))[1]
        for steps in (15, 63, 255, 65535)
    ]
    assert reach == sorted(reach) and reach[0] < reach[-1]


def test_the_grid_follows_precision_format_and_flavour():
    assert grid_of(Recipe(), "conv", "onnx") == Grid(255, symmetric=False)
    signed = Recipe(onnx_activations="signed")
    assert grid_of(signed, "conv", "onnx") == Grid(254, symmetric=True)
    assert grid_of(signed, "conv", "tflite") == Grid(255, symmetric=False)
    lifted = Recipe(scopes=(Scope("conv", "int16x8", format="tflite"),))
    assert grid_of(lifted, "conv", "tflite") == Grid(65534, symmetric=True)
    assert grid_of(lifted, "dense", "tflite") == Grid(255, symmetric=False)
