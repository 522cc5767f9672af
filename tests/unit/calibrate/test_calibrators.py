import typing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeconv.calibrate import CALIBRATORS, Observer, clip, needs_histograms
from edgeconv.calibrate.calibrators import _NARROWEST
from edgeconv.errors import InternalError, UsageError
from edgeconv.types import FloatGraph, Recipe, Scope, TensorRange, TensorSpec

VALUES = arrays(np.float32, st.integers(1, 300), elements=st.floats(-1e6, 1e6, width=32))
PERCENTILES = st.floats(60.0, 100.0)
GRAPH = FloatGraph(
    "tflite",
    Path("model.tflite"),
    (),
    (TensorSpec("logits", (1, 10), "float32"),),
    {"t": "conv", "u": "sep#2"},
)


def clipped(values, recipe, bins=2048):
    observer = Observer("t", bins)
    observer.update(values)
    return clip({"t": observer.range()}, recipe, GRAPH)["t"]


def percentile(share):
    return Recipe(calibrator="percentile", percentile=share)


def test_every_calibrator_that_a_recipe_may_name_is_there():
    hints = typing.get_type_hints(Recipe)
    assert set(CALIBRATORS) == set(typing.get_args(hints["calibrator"]))


@given(VALUES)
def test_minmax_covers_all_and_holds_zero(values):
    found = clipped(values, Recipe(calibrator="minmax"), bins=0)
    assert found.low <= 0 <= found.high
    if max(values.max(), 0) - min(values.min(), 0) <= _NARROWEST:
        assert (found.low, found.high) == (0.0, 1.0), "nothing there needs steps so small"
        return
    assert found.low <= min(values.min(), 0)
    assert found.high >= max(values.max(), 0)


@given(VALUES, PERCENTILES)
def test_percentile_never_leaves_what_was_seen_and_holds_zero(values, share):
    found, whole = clipped(values, percentile(share)), clipped(values, Recipe(calibrator="minmax"))
    assert whole.low <= found.low <= 0 <= found.high <= whole.high


@given(VALUES, PERCENTILES)
def test_percentile_keeps_its_share(values, share):
    found = clipped(values, percentile(share))
    # What lies within 1e-9 of 0 is 0 to a quantizer.
    kept = ((values >= found.low - 1e-9) & (values <= found.high + 1e-9)).sum()
    assert kept >= np.floor(values.size * share / 100)


def test_percentile_cuts_a_rare_outlier():
    values = np.append(np.linspace(-1, 1, 8000), 1000.0).astype(np.float32)
    found = clipped(values, percentile(99.0))
    assert found.high < 3.0
    assert clipped(values, Recipe(calibrator="minmax")).high == 1000.0


def test_a_tensor_that_is_zero_almost_always_keeps_its_range():
    values = np.append(np.zeros(8000), 5.0).astype(np.float32)
    assert clipped(values, percentile(99.0)).high == 5.0


def test_a_percentile_of_100_keeps_everything():
    values = np.array([-7.0, 0.1, 11.0], np.float32)
    found = clipped(values, percentile(100.0))
    assert (found.low, found.high) == (-7.0, 11.0)


def test_a_tensor_of_zeros_gets_steps_that_keep_biases_small():
    found = clip({"t": TensorRange(0.0, 0.0)}, Recipe(calibrator="minmax"), GRAPH)["t"]
    assert (found.low, found.high) == (0.0, 1.0)


@pytest.mark.parametrize("width", [1e-9, 1e-7, 2e-6, 9e-6, 2e-5, 1e-3])
def test_no_tensor_is_too_narrow_to_be_added_to_a_dead_one(width):
    added = clip({"t": TensorRange(0.0, width)}, Recipe(calibrator="minmax"), GRAPH)["t"]
    dead = clip({"t": TensorRange(0.0, 0.0)}, Recipe(calibrator="minmax"), GRAPH)["t"]
    # TFLite's ADD aborts where the larger input's step is 2^19 times the output's.
    assert (dead.high - dead.low) / (added.high - added.low) < 2**19


@pytest.mark.parametrize("share", [0.0, 50.0, 100.1, float("nan")])
def test_a_share_that_makes_no_sense_is_refused(share):
    with pytest.raises(UsageError, match="percentile"):
        clipped(np.ones(3, np.float32), percentile(share))


@pytest.mark.parametrize("name", sorted(set(CALIBRATORS) - {"minmax", "trimmed"}))
def test_a_calibrator_without_its_histograms_is_our_bug(name):
    recipe = Recipe(calibrator=name)
    assert needs_histograms(recipe)
    with pytest.raises(InternalError):
        clipped(np.ones(3, np.float32), recipe, bins=0)


def test_minmax_needs_no_histograms_unless_a_scope_names_another():
    assert not needs_histograms(Recipe(calibrator="minmax"))
    assert needs_histograms(Recipe(calibrator="minmax", scopes=(Scope("c*", calibrator="mse"),)))
    assert not needs_histograms(Recipe(calibrator="minmax", scopes=(Scope("c*", "fp32"),)))


@given(VALUES, st.sampled_from(sorted(CALIBRATORS)))
def test_no_calibrator_leaves_what_was_seen_and_all_hold_zero(values, name):
    whole = clipped(values, Recipe(calibrator="minmax"))
    found = clipped(values, Recipe(calibrator=name))
    assert whole.low <= found.low <= 0 <= found.high <= whole.high
    assert found.low < found.high


LONG_TAIL = np.append(np.linspace(-1, 1, 8000), 1000.0).astype(np.float32)


def test_a_scope_chooses_the_calibrator_of_its_layers_alone():
    observer = Observer("t", 2048)
    observer.update(LONG_TAIL)
    seen = {"t": observer.range(), "u": observer.range(), "logits": observer.range()}
    for scope, cut in (
        (Scope("conv", calibrator="percentile"), {"t"}),
        (Scope("sep", calibrator="percentile"), {"u"}),
        (Scope("*", calibrator="percentile"), {"t", "u"}),
        (Scope("*", calibrator="percentile", format="onnx"), set()),
        (Scope("*", "fp32"), set()),
    ):
        recipe = Recipe(calibrator="minmax", percentile=99.0, scopes=(scope,))
        found = clip(seen, recipe, GRAPH)
        assert {name for name, each in found.items() if each.high < 1000} == cut, scope


def test_the_outputs_keep_their_whole_range():
    values = np.append(np.linspace(-1, 1, 100_000), 1000.0).astype(np.float32)
    observer = Observer("t", 2048)
    observer.update(values)
    seen = {"hidden": observer.range(), "logits": observer.range()}
    found = clip(seen, percentile(99.0), GRAPH)
    assert found["hidden"].high < found["logits"].high == 1000.0


def test_the_inputs_keep_their_whole_range_in_either_layout():
    picture = np.append(np.linspace(0, 10, 100_000), 255.0).astype(np.float32)
    observer, other = Observer("t", 2048), Observer("u", 2048)
    observer.update(picture)
    other.update(picture * np.float32(0.5))
    seen = {"x": observer.range(), "transposed": observer.range(), "hidden": other.range()}
    graph = replace(GRAPH, inputs=(TensorSpec("x", (1, 100_001), "float32"),))

    found = clip(seen, percentile(99.0), graph)

    assert found["x"].high == found["transposed"].high == 255.0
    assert found["hidden"].high < 10


def of_items(*items):
    observer = Observer("t")
    for item in items:
        observer.update(np.asarray(item, np.float32))
    return clip({"t": observer.range()}, Recipe(calibrator="trimmed"), GRAPH)["t"]


def test_trimmed_leaves_odd_items_out_whole_and_cuts_into_no_other():
    rng = np.random.default_rng(0)
    usual = [rng.uniform(-1, 1, (4, 4, 3)) for _ in range(98)]
    odd = [50 * item for item in usual[:2]]
    found = of_items(*usual[:40], *odd, *usual[40:])
    assert found.high == pytest.approx(max(item.max() for item in usual), rel=1e-6)
    assert found.low == pytest.approx(min(item.min() for item in usual), rel=1e-6)


def test_trimmed_keeps_all_of_a_few_items():
    found = of_items([[-3.0, 1.0]], [[0.0, 7.0]], [[-1.0, 2.0]])
    assert (found.low, found.high) == (-3.0, 7.0)


def test_trimmed_keeps_what_only_odd_items_hold():
    found = of_items(*[[[0.0, 0.0]]] * 99, [[0.0, 5.0]])
    assert (found.low, found.high) == (0.0, 5.0)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 500])
def test_of_the_items_those_that_reach_furthest_are_kept(count):
    observer = Observer("t")
    highs = np.random.default_rng(count).permutation(count).astype(np.float32)
    for high in highs:
        observer.update(np.array([[-2 * high, high]], np.float32))
    seen = observer.range()
    furthest = np.sort(highs)[::-1][:64]
    np.testing.assert_array_equal(seen.item_highs, furthest)
    np.testing.assert_array_equal(seen.item_lows, -2 * furthest)
    assert seen.items == count
