from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.prepare.balance import LEAST, Balance
from edgeconv.prepare.base import Floats
from edgeconv.prepare.channels import trace
from edgeconv.prepare.equalize import equalize, factors, rescale
from edgeconv.targets.flow import Flow
from edgeconv.types import Recipe, TensorRange

SEEDS = st.integers(0, 2**32 - 1)
ALWAYS_DB = -1e9


def chain(*widths: int) -> list[Flow]:
    """Dense layers with ReLU between them: x -> t0 -> t1 -> ..."""
    names = ["x", *(f"t{i}" for i in range(len(widths) - 1))]
    return [
        Flow(
            "kernel",
            f"dense{i}",
            (names[i],),
            (names[i + 1],),
            ((1, widths[i]),),
            (1, widths[i + 1]),
            weight=f"w{i}",
        )
        for i in range(len(widths) - 1)
    ]


def weights_of(rng, *widths: int):
    return {
        f"dense{i}": (
            rng.normal(size=(a, b)).astype(np.float32),
            rng.normal(size=b).astype(np.float32),
        )
        for i, (a, b) in enumerate(pairwise(widths))
    }


def ranges_of(highs) -> dict[str, TensorRange]:
    return {
        name: TensorRange(0.0, float(most.max()), lows=np.zeros_like(most), highs=most)
        for name, most in highs.items()
    }


def balance_of(weights, highs):
    channels = trace(chain(4, 8, 6, 3), weights, ["t2"])
    return channels, Balance(channels, weights, ranges_of(highs))


def random_case(seed: int):
    rng = np.random.default_rng(seed)
    highs = {"t0": rng.uniform(0.5, 2, 8), "t1": rng.uniform(0.5, 2, 6), "t2": rng.random(3)}
    return rng, weights_of(rng, 4, 8, 6, 3), highs


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_afterwards_a_channels_share_of_the_weights_is_its_share_of_the_activations(seed):
    _, weights, highs = random_case(seed)
    channels, balance = balance_of(weights, highs)

    logs = np.log(factors(balance, ALWAYS_DB))

    np.testing.assert_allclose(balance.weights(logs)[1:], balance.activations(logs)[1:], atol=0.05)
    assert channels.count == 1 + 8 + 6


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_every_twin_is_equalized_to_the_same_kernels(seed):
    rng, weights, highs = random_case(seed)
    channels, balance = balance_of(weights, highs)
    drawn = 32.0 ** rng.uniform(-1, 1, channels.count)
    drawn[0] = 1.0
    twin = {n: rescale(*weights[n], ends, drawn) for n, ends in channels.kernels.items()}
    held = {"t0": highs["t0"] * drawn[1:9], "t1": highs["t1"] * drawn[9:], "t2": highs["t2"]}

    _, disturbed = balance_of(twin, held)
    ours, theirs = factors(balance, ALWAYS_DB), factors(disturbed, ALWAYS_DB) * drawn

    # A tensor's own scale is free: only the channels' scales among each other are told.
    for groups in (slice(1, 9), slice(9, 15)):
        ratio = ours[groups] / theirs[groups]
        np.testing.assert_allclose(ratio / ratio[0], 1.0, rtol=0.1)


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_noise_falls_by_what_the_gain_says_for_uniform_channels(seed):
    rng = np.random.default_rng(seed)
    drawn = 8.0 ** rng.uniform(-1, 1, 8)
    weights = weights_of(rng, 4, 8, 6, 3)
    weights["dense1"] = (np.ones((8, 6), np.float32) / drawn[:, np.newaxis], None)
    highs = {"t0": drawn, "t1": np.ones(6), "t2": np.ones(3)}
    channels, balance = balance_of(weights, highs)
    logs = np.zeros(channels.count)
    logs[1:9] = -np.log(drawn)

    found = balance.gain_db(logs)[1:9]

    w, x = 1 / drawn, drawn
    before = x.max() ** 2 * (w**2).sum() + w.max() ** 2 * (x**2).sum()
    np.testing.assert_allclose(found, 10 * np.log10(before / 16), atol=1e-4)


def floats_of(weights, highs) -> Floats:
    flows = chain(4, 8, 6, 3)
    return Floats((), weights, ranges_of(highs), {}, Recipe(), ["t2"], lambda: flows)


@pytest.mark.parametrize(("spread", "touched"), [(1.5, False), (32.0, True)])
def test_channels_are_rescaled_only_where_half_a_bit_is_lost(spread, touched):
    _, weights, highs = random_case(0)
    channels, _ = balance_of(weights, highs)
    drawn = spread ** np.linspace(-1, 1, channels.count)
    drawn[0] = 1.0
    twin = {n: rescale(*weights[n], ends, drawn) for n, ends in channels.kernels.items()}
    held = {"t0": highs["t0"] * drawn[1:9], "t1": highs["t1"] * drawn[9:], "t2": highs["t2"]}
    assert bool(equalize(floats_of(twin, held))) is touched


def test_a_dead_channel_gets_a_finite_factor():
    _, weights, highs = random_case(1)
    highs["t0"][3] = 0.0
    weights["dense1"][0][5] = 0.0
    _, balance = balance_of(weights, highs)

    found = factors(balance, ALWAYS_DB)

    assert np.isfinite(found).all()
    # It ends with the weights of one that is all but lost, not with the largest.
    assert balance.weights(np.log(found))[1 + 3] == pytest.approx(np.log(LEAST), abs=0.05)


def test_a_grouped_kernel_reads_its_own_channels():
    flow = Flow("kernel", "g", ("t0",), ("y",), ((1, 4, 4, 8),), (1, 4, 4, 6), (), -1, weight="k")
    first = Flow("kernel", "f", ("x",), ("t0",), ((1, 4, 4, 3),), (1, 4, 4, 8), (), -1, weight="f")
    rng = np.random.default_rng(0)
    weights = {
        "f": (rng.normal(size=(1, 1, 3, 8)).astype(np.float32), None),
        "g": (np.ones((1, 1, 4, 6), np.float32), None),
    }
    channels = trace([first, flow], weights, ["y"])
    drawn = np.array([1.0, *np.arange(1, 9)])

    kernel, _ = rescale(*weights["g"], channels.kernels["g"], drawn)

    np.testing.assert_allclose(kernel[0, 0, :, 0], 1 / np.arange(1, 5))
    np.testing.assert_allclose(kernel[0, 0, :, 5], 1 / np.arange(5, 9), rtol=1e-6)


def test_dead_channels_of_a_depthwise_kernel_neither_count_nor_run_away():
    first = Flow("kernel", "f", ("x",), ("t",), ((1, 4, 4, 3),), (1, 4, 4, 8), weight="f")
    second = Flow("kernel", "d", ("t",), ("y",), ((1, 4, 4, 8),), (1, 4, 4, 8), weight="d")
    rng = np.random.default_rng(0)
    weights = {
        "f": (rng.normal(size=(1, 1, 3, 8)).astype(np.float32), None),
        "d": (np.ones((3, 3, 8, 1), np.float32), None),
    }
    most = np.array([1.0, 0.9, 1.1, 1.0, 0.0, 1e-30, 1e-12, 1.0])
    channels = trace([first, second], weights, ["y"])
    balance = Balance(channels, weights, ranges_of({"t": most}))

    found = np.log2(factors(balance, ALWAYS_DB))

    assert np.abs(found).max() < 10
    assert balance.gain_db(np.log(2.0) * found).max() < 3
