"""The ladder: never worse than plain int8, fewest layers first, and always a result."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.errors import EdgeconvError, RefusedInput, Unsupported
from edgeconv.progress import Silent
from edgeconv.recover import Recovery, Score, climb, recovery_to_json
from edgeconv.types import Format, Interval, Qat, Recipe, Scope
from tests.unit.recover.bench import Bench

RECIPE = Recipe(passes=("lift_channels", "correct_bias"))


class Noted(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.stages: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stage(self, title: str, total: int | None = None) -> None:
        self.stages.append(title)


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """A job in the background is started with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def names(found: Recovery) -> list[str]:
    return [tried.name for tried in found.tried]


def losses(bench: Bench, recipe: Recipe) -> list[float]:
    return [bench.error(recipe, format) for format in bench.formats]


def test_plain_int8_that_holds_is_left_alone() -> None:
    bench = Bench(limit=50.0, gains={"mse": 0.1})
    found = climb(bench.workbench(), RECIPE, "balanced", Silent())

    assert (names(found), found.recipe, found.ended) == (["plain int8"], RECIPE, "held")
    assert len(bench.attempts) == 2, "each format is judged once"


def test_balanced_ends_where_the_gate_holds() -> None:
    bench = Bench(limit=1.0, gains={"mse": 0.8, "entropy": 0.01, "equalize": 0.001})
    found = climb(bench.workbench(), RECIPE, "balanced", Silent())

    assert found.recipe == replace(RECIPE, calibrator="entropy")
    assert names(found) == ["plain int8", "calibrator mse", "calibrator entropy"]
    assert [tried.kept for tried in found.tried] == [True, True, True]


def test_scores_far_off_are_worth_seconds_though_the_labels_hold_the_gate() -> None:
    bench = Bench(gains={"entropy": 0.1}, limit=100.0)
    original = bench.attempt

    def labelled(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        drop = Interval(0.0, (-1.0, 1.0), -1.0, 1.0)
        sqnr_db = 40.0 if recipe.calibrator == "entropy" else 10.0
        return replace(score, metrics={"top1_drop": drop, "sqnr_db": sqnr_db})

    found = climb(bench.workbench(attempt=labelled), RECIPE, "balanced", Silent())

    assert found.recipe.calibrator == "entropy"
    assert [tried.name for tried in found.tried] == ["plain int8", "calibrator entropy"]


def test_a_doubtful_gate_is_worth_seconds_but_no_minutes_and_no_layer_in_float() -> None:
    bench = Bench(limit=50.0, gains={"mse": 0.9, "equalize": 0.9, "adaptive_rounding": 0.1})
    original = bench.attempt

    def doubtful(recipe: Recipe, format: Format) -> Score:
        return replace(original(recipe, format), doubtful=True)

    found = climb(bench.workbench(attempt=doubtful), RECIPE, "balanced", Silent())

    assert (found.recipe.calibrator, found.ended) == ("mse", "held")
    assert found.recipe.passes == ("equalize", *RECIPE.passes)
    assert found.recipe.scopes == () and found.sensitivity == ()


def test_best_goes_on_with_all_that_still_helps() -> None:
    gains = {"mse": 0.8, "entropy": 0.9, "equalize": 0.5, "adaptive_rounding": 0.5}
    bench = Bench(limit=50.0, gains=gains)
    found = climb(bench.workbench(), RECIPE, "best", Silent())

    assert found.recipe.calibrator == "mse"
    assert found.recipe.passes == ("equalize", "lift_channels", "adaptive_rounding", "correct_bias")
    assert found.recipe.scopes == (), "what holds the gate keeps no layer in float"
    kept = [tried.name for tried in found.tried if tried.kept]
    assert kept == ["plain int8", "calibrator mse", "equalization", "adaptive rounding"]


def test_ranges_are_tried_anew_where_channels_were_rescaled() -> None:
    bench = Bench(limit=0.01, gains={"mse": 1.5, "equalize": 0.5})
    original = bench.attempt

    def suits(recipe: Recipe, format: Format) -> Score:
        """Of equalized channels alone, mse makes the better ranges."""
        score = original(recipe, format)
        both = "equalize" in recipe.passes and recipe.calibrator == "mse"
        return replace(score, loss=score.loss / 3) if both else score

    found = climb(bench.workbench(attempt=suits, layers=()), RECIPE, "best", Silent())

    assert found.recipe.calibrator == "mse" and "equalize" in found.recipe.passes
    assert names(found).count("calibrator mse") == 2


def test_a_rung_that_hurts_is_not_kept() -> None:
    bench = Bench(limit=0.01, gains={"mse": 3.0, "equalize": 1.5})
    found = climb(bench.workbench(layers=()), RECIPE, "best", Silent())

    assert found.recipe == RECIPE
    assert found.ended == "tried"
    assert not any(tried.kept for tried in found.tried[1:])


def test_onnx_is_spared_where_tflite_gains_nothing() -> None:
    bench = Bench(limit=0.01, gains={"mse": 3.0})
    climb(bench.workbench(layers=()), RECIPE, "best", Silent())

    assert [f for r, f in bench.attempts if r.calibrator == "mse"] == ["tflite"]


def test_training_is_tried_where_it_was_asked_for_whatever_holds() -> None:
    bench = Bench(limit=50.0, gains={"training": 0.5, "mse": 0.5})
    found = climb(bench.workbench(qat=Qat(epochs=2)), RECIPE, "balanced", Silent())

    assert names(found) == ["plain int8", "training"]
    assert found.recipe == replace(RECIPE, qat=Qat(epochs=2))


def test_training_that_hurts_is_not_kept() -> None:
    bench = Bench(limit=50.0, gains={"training": 1.5})
    found = climb(bench.workbench(qat=Qat()), RECIPE, "balanced", Silent())

    assert (names(found), found.recipe) == (["plain int8", "training"], RECIPE)


def test_training_comes_before_layers_in_float_and_begins_at_weights_that_no_pass_rounded() -> None:
    bench = Bench(
        outliers=(1, 1, 60, 1, 1, 1), limit=1.0, gains={"adaptive_rounding": 0.9, "training": 0.5}
    )
    found = climb(bench.workbench(qat=Qat()), RECIPE, "balanced", Silent())

    tried = names(found)
    assert (
        tried.index("adaptive rounding") < tried.index("training") < tried.index("1 layer in float")
    )
    assert "adaptive_rounding" not in found.recipe.passes and found.recipe.qat == Qat()


def test_training_is_judged_by_typical_items() -> None:
    """One odd item that loses more doesn't outweigh all others that lose less."""
    bench = Bench(limit=50.0, gains={"training": 1.05})
    attempt = bench.attempt

    def odd(recipe: Recipe, format: Format) -> Score:
        score = attempt(recipe, format)
        return replace(score, typical=score.loss * (0.9 if recipe.qat else 1.0))

    found = climb(bench.workbench(qat=Qat(), attempt=odd), RECIPE, "balanced", Silent())
    assert found.recipe.qat == Qat()


def test_passes_that_do_not_exist_are_no_rungs() -> None:
    bench = Bench(limit=0.01)
    found = climb(bench.workbench(layers=()), RECIPE, "best", Silent())

    assert names(found) == ["plain int8", "percentile 99.9", "calibrator minmax"]


def test_ranges_that_suit_one_format_are_kept_there_alone() -> None:
    bench = Bench(limit=0.01, gains={"mse": 0.5})
    original = bench.attempt

    def onnx_suffers(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        suffers = format == "onnx" and recipe.calibrator_of("layer_0", format) == "mse"
        return replace(score, loss=3 * score.loss) if suffers else score

    found = climb(bench.workbench(attempt=onnx_suffers, layers=()), RECIPE, "best", Silent())

    assert found.recipe.calibrator_of("layer_3", "tflite") == "mse"
    assert found.recipe.calibrator_of("layer_3", "onnx") == RECIPE.calibrator


def test_ranges_that_one_format_has_of_its_own_are_no_end_to_better_ones() -> None:
    """``mse`` suits TFLite alone, and ``entropy``, tried after it, suits both more."""
    bench = Bench(limit=1e-6, gains={"mse": 0.8, "entropy": 0.5})
    original = bench.attempt

    def onnx_suffers(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        spoils = format == "onnx" and recipe.calibrator_of("layer_0", format) == "mse"
        return replace(score, loss=score.loss * 9) if spoils else score

    found = climb(bench.workbench(attempt=onnx_suffers, layers=()), RECIPE, "best", Silent())

    assert [t.name for t in found.tried if t.kept][1:] == ["calibrator mse", "calibrator entropy"]
    assert found.recipe == replace(RECIPE, calibrator="entropy")


def test_better_ranges_for_one_format_take_the_place_of_those_it_had() -> None:
    bench = Bench(limit=1e-6, gains={"mse": 0.8, "entropy": 0.5})
    original = bench.attempt

    def onnx_suffers(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        spoils = recipe.calibrator_of("layer_0", format) != RECIPE.calibrator
        return replace(score, loss=score.loss * 9) if format == "onnx" and spoils else score

    found = climb(bench.workbench(attempt=onnx_suffers, layers=()), RECIPE, "best", Silent())

    assert found.recipe.scopes == (Scope("*", calibrator="entropy", format="tflite"),)
    assert found.recipe.calibrator == RECIPE.calibrator


def test_the_layer_that_loses_most_stays_in_float_and_no_other() -> None:
    bench = Bench(outliers=(1, 1, 60, 1, 1, 1), limit=4.0)
    found = climb(bench.workbench(), RECIPE, "balanced", Silent())

    assert found.ended == "held"
    assert bench.floats(found.recipe, "tflite") == ["layer_2"]
    assert bench.floats(found.recipe, "onnx") == ["layer_2"]
    assert found.sensitivity[0].layer == "layer_2"
    assert found.recipe.scopes[0].format is None, "a layer that both need has one scope"
    assert len(recovery_to_json(found, calibrated=30, held=10)["layers"]) == len(bench.layers)


def test_a_layer_of_few_weights_is_lifted_before_one_of_many() -> None:
    bench = Bench(outliers=(60, 1, 60, 1, 1, 1), limit=4.0)
    found = [
        climb(bench.workbench(weights=lambda m=m: {m: 1000}), RECIPE, "balanced", Silent())
        for m in ("layer_0", "layer_2")
    ]

    assert [each.sensitivity[0].layer for each in found] == ["layer_2", "layer_0"]


def test_a_rung_that_held_the_gate_comes_before_layers_in_float() -> None:
    """By its loss ``mse`` is best, and loses one answer too many; ``entropy`` loses none."""
    bench = Bench(limit=1e-6, gains={"mse": 0.3, "entropy": 0.8})
    original = bench.attempt

    def attempt(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        return replace(score, holds=recipe.calibrator == "entropy")

    found = climb(bench.workbench(attempt=attempt), RECIPE, "balanced", Silent())

    assert found.ended == "held"
    assert found.recipe == replace(RECIPE, calibrator="entropy")
    assert names(found)[-1] == "calibrator entropy again"
    assert len(set(bench.attempts)) == len(bench.attempts), "its files were still there"
    assert bench.alive == {artifact.path for artifact in found.artifacts}


def test_a_rung_that_held_in_one_format_alone_is_not_settled_for() -> None:
    bench = Bench(outliers=(1, 1, 60, 1, 1, 1), limit=4.0, gains={"mse": 1.05})
    original = bench.attempt

    def attempt(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        lucky = recipe.calibrator == "mse" and format == "tflite"
        return replace(score, holds=score.holds or lucky)

    found = climb(bench.workbench(attempt=attempt), RECIPE, "balanced", Silent())

    assert "calibrator mse again" in names(found)
    assert bench.floats(found.recipe, "tflite") == ["layer_2"]


def test_gates_stay_in_float_before_other_layers_where_no_free_rung_holds() -> None:
    bench = Bench(outliers=(1, 1, 60, 1, 1, 1), limit=4.0)
    found = climb(
        bench.workbench(gates=lambda: ("layer_2", "layer_3")), RECIPE, "balanced", Silent()
    )

    assert bench.floats(found.recipe, "tflite") == ["layer_2", "layer_3"]
    assert names(found)[-1] == "gates in float" and found.sensitivity == ()
    assert found.tried[-1].layers == ("layer_2", "layer_3")


def test_gates_that_gain_little_stay_in_int8() -> None:
    bench = Bench(outliers=(1, 1, 60, 1, 1, 1), limit=4.0)
    found = climb(bench.workbench(gates=lambda: ("layer_4",)), RECIPE, "balanced", Silent())

    assert bench.floats(found.recipe, "tflite") == ["layer_2"]
    assert [t.kept for t in found.tried if t.name == "gates in float"] == [False]


def test_gates_that_hold_the_gate_in_int8_are_not_tried() -> None:
    bench = Bench(limit=50.0)
    found = climb(bench.workbench(gates=lambda: ("layer_2",)), RECIPE, "best", Silent())

    assert "gates in float" not in names(found)


@pytest.mark.parametrize("limit", [12.0, 6.0, 3.0, 1.5, 0.7])
def test_no_smaller_number_of_layers_would_hold_the_gate(limit: float) -> None:
    bench = Bench(outliers=(20, 3, 60, 1, 10, 1, 5, 2), limit=limit, formats=("tflite",))
    found = climb(bench.workbench(), RECIPE, "balanced", Silent())
    lifted = bench.floats(found.recipe, "tflite")
    order = [each.layer for each in found.sensitivity]

    if found.ended == "held" and lifted:
        assert set(lifted) == set(order[: len(lifted)])
        failed = [n for n, holds in _lifts(found) if not holds]
        assert len(lifted) - 1 in [0, *failed], "one fewer was tried, and lost the gate"


def _lifts(found: Recovery) -> list[tuple[int, bool]]:
    """How many layers were tried in float, and whether the gate held."""
    tried = [t for t in found.tried if t.name.endswith(" in float") and not t.kept]
    return [(int(t.name.split()[0]), t.trial.holds) for t in tried]


def test_a_layer_that_one_format_needs_stays_in_float_there_alone() -> None:
    bench = Bench(outliers=(1, 1, 60, 1, 1, 1), limit=4.0)
    original = bench.attempt

    def onnx_holds(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        return replace(score, holds=True, loss=score.loss / 100) if format == "onnx" else score

    found = climb(bench.workbench(attempt=onnx_holds), RECIPE, "balanced", Silent())

    assert bench.floats(found.recipe, "tflite") == ["layer_2"]
    assert bench.floats(found.recipe, "onnx") == []


def test_a_device_of_integers_alone_gets_no_layer_in_float() -> None:
    bench = Bench(outliers=(1, 1, 60, 1, 1, 1), limit=0.1)
    found = climb(bench.workbench(layers=()), RECIPE, "balanced", Silent())

    assert found.recipe.scopes == () and found.sensitivity == ()
    assert found.ended == "tried"


def test_more_than_half_of_the_layers_is_no_int8_model() -> None:
    bench = Bench(outliers=(60,) * 6, limit=1e-6)
    climb(bench.workbench(), RECIPE, "balanced", Silent())

    assert max(len(bench.floats(r, f)) for r, f in bench.attempts) == 3


def test_layers_that_do_not_hold_the_gate_are_kept_where_they_are_worth_their_bytes() -> None:
    bench = Bench(outliers=(60, 1, 60, 1, 1, 1), limit=1e-6)
    found = climb(bench.workbench(), RECIPE, "balanced", Silent())

    assert found.ended == "tried"
    for format in bench.formats:
        assert set(bench.floats(found.recipe, format)) == {"layer_0", "layer_2"}


def test_the_number_of_layers_that_is_worth_most_is_looked_for_between_the_doublings() -> None:
    """Eleven of thirty layers lose all; 8 and 15 are tried first."""
    bench = Bench(outliers=(60,) * 11 + (1,) * 19, limit=1e-6, formats=("tflite",))
    original = bench.attempt

    def dear(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        floats = bench.floats(recipe, format)
        cheap = sum(bench.outliers[bench.layers.index(name)] == 60 for name in floats)
        loss = 10.0 * 0.5**cheap
        size = int(1000 * 1.3 ** len(floats))
        artifact = replace(score.artifact, size_bytes=size)
        return replace(score, loss=loss, artifact=artifact)

    found = climb(bench.workbench(attempt=dear), RECIPE, "balanced", Silent())
    tried = [n for n, _ in _lifts(found)]

    assert tried[:5] == [1, 2, 4, 8, 15] and tried[5] == 11 and len(tried) == 8
    assert len(bench.floats(found.recipe, "tflite")) == 11


def test_a_number_of_layers_that_holds_the_gate_after_all_is_taken() -> None:
    bench = Bench(outliers=(60,) * 11 + (1,) * 19, limit=1e-6, formats=("tflite",))
    original = bench.attempt

    def lucky(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        floats = len(bench.floats(recipe, format))
        loss = 5.0 if floats == 11 else 10.0 * 0.5**floats
        return replace(score, holds=floats == 11, loss=loss)

    found = climb(bench.workbench(attempt=lucky), RECIPE, "balanced", Silent())

    assert found.ended == "held"
    assert len(bench.floats(found.recipe, "tflite")) == 11


def test_layers_that_do_not_hold_the_gate_stay_in_int8_where_their_bytes_are_dear() -> None:
    bench = Bench(outliers=(2, 1, 2, 1, 1, 1), limit=1e-6)
    original = bench.attempt

    def large(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        size = 1000 * 4 ** len(bench.floats(recipe, format))
        return replace(score, artifact=replace(score.artifact, size_bytes=size))

    found = climb(bench.workbench(attempt=large), RECIPE, "balanced", Silent())

    assert found.recipe == RECIPE


def test_layers_that_gain_less_than_a_tenth_stay_in_int8() -> None:
    bench = Bench(limit=1e-6)
    original = bench.attempt

    def little(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        artifact = replace(score.artifact, size_bytes=1000)
        gained = 0.95 if bench.floats(recipe, format) else 1.0
        return replace(score, loss=10.0 * gained, artifact=artifact)

    assert climb(bench.workbench(attempt=little), RECIPE, "balanced", Silent()).recipe == RECIPE


def test_the_account_has_layers_that_were_lifted_or_asked_on_their_own() -> None:
    bench = Bench(outliers=(60, 60, 1, 1, 1, 1, 1, 1), limit=1e-6)
    found = climb(bench.workbench(glances=6), RECIPE, "balanced", Silent())
    told = recovery_to_json(found, calibrated=30, held=10)["layers"]
    lifted = {name for format in bench.formats for name in bench.floats(found.recipe, format)}
    single = {each.layer for each in found.sensitivity if each.block == 1}

    assert {row["name"] for row in told} == lifted | single
    assert {row["name"] for row in told if row["formats"]} == lifted
    assert len(told) < len(found.sensitivity) == 8


def test_a_limit_that_plain_int8_breaks_is_not_broken_further() -> None:
    bench = Bench(outliers=(60, 1, 60, 1, 1, 1), limit=1e9)
    original = bench.attempt

    def large(recipe: Recipe, format: Format) -> Score:
        return replace(original(recipe, format), exceeds=("too large",))

    for limit in (1e9, 1e-6):
        bench.limit = limit
        found = climb(bench.workbench(attempt=large), RECIPE, "balanced", Silent())
        assert found.recipe == RECIPE


def test_one_format_that_only_loses_by_layers_in_float_is_no_harm_to_the_other() -> None:
    bench = Bench(outliers=(1, 1, 60, 1, 1, 1), limit=4.0)
    original = bench.attempt

    def onnx_suffers(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        if format == "tflite":
            return score
        return replace(score, holds=False, missed=2 + 5 * len(bench.floats(recipe, format)))

    found = climb(bench.workbench(attempt=onnx_suffers), RECIPE, "balanced", Silent())

    assert bench.floats(found.recipe, "tflite") == ["layer_2"]
    assert bench.floats(found.recipe, "onnx") == []


@pytest.mark.parametrize("impossible", [1, 8, 11, 15])
def test_no_number_of_layers_is_tried_twice(impossible: int) -> None:
    bench = Bench(outliers=(60,) * 11 + (1,) * 19, limit=1e-6, formats=("tflite",))
    original = bench.attempt

    def attempt(recipe: Recipe, format: Format) -> Score:
        if len(bench.floats(recipe, format)) == impossible:
            raise Unsupported("No.")
        return original(recipe, format)

    found = climb(bench.workbench(attempt=attempt), RECIPE, "balanced", Silent())
    tried = [int(t.name.split()[0]) for t in found.tried if t.name[0].isdigit()]

    assert impossible in tried or impossible == 11
    assert len(set(tried)) == len(tried)


def test_layers_that_break_a_limit_are_not_kept_for_coming_nearer_to_the_gate() -> None:
    bench = Bench(outliers=(60, 1, 60, 1, 1, 1), limit=1e-6)
    original = bench.attempt

    def small(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        return replace(score, exceeds=("too large",) if score.artifact.size_bytes > 1100 else ())

    found = climb(bench.workbench(attempt=small), RECIPE, "balanced", Silent())

    assert len(bench.floats(found.recipe, "tflite")) == 1


def test_a_limit_that_is_broken_is_no_gain() -> None:
    bench = Bench(outliers=(1, 1, 60, 1, 1, 1), limit=4.0)
    original = bench.attempt

    def small(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        broken = ("too large",) if score.artifact.size_bytes > 1000 else ()
        return replace(score, exceeds=broken)

    found = climb(bench.workbench(attempt=small), RECIPE, "balanced", Silent())

    assert found.recipe == RECIPE


@pytest.mark.parametrize("spent", range(2, 9))
def test_the_end_of_the_budget_keeps_the_best_so_far(spent: int) -> None:
    bench = Bench(outliers=(1, 1, 60, 1, 1, 1), limit=1.0, gains={"mse": 0.9, "equalize": 0.9})
    watch = Noted()
    found = climb(
        bench.workbench(), RECIPE, "best", watch, float(spent),
        clock=lambda: float(len(bench.attempts)),
    )  # fmt: skip

    assert found.ended == "budget"
    assert any("is spent" in note for note in watch.notes)
    plain, best = losses(bench, RECIPE), losses(bench, found.recipe)
    assert all(b <= p * 1.01 for b, p in zip(best, plain, strict=True))
    assert bench.alive == {artifact.path for artifact in found.artifacts}


def lifted(found: Recovery, format: Format) -> list[int]:
    """How many layers in float held the gate in a format."""
    tried = [t for t in found.tried if t.name.endswith(" in float") and not t.kept]
    scores = [(int(t.name.split()[0]), score) for t in tried for score in t.trial.scores]
    return [count for count, score in scores if score.format == format and score.stands]


@pytest.mark.parametrize("end", ["budget", "interrupted"])
@pytest.mark.parametrize("spent", range(4, 14))
def test_what_held_the_gate_when_the_time_ended_among_layers_in_float_is_kept(
    spent: int, end: str
) -> None:
    bench = Bench(outliers=(60,) * 5 + (1,) * 7, limit=52.0)
    if end == "budget":
        found = climb(
            bench.workbench(), RECIPE, "balanced", Silent(), float(spent),
            clock=lambda: float(len(bench.attempts)),
        )  # fmt: skip
    else:
        workbench = bench.workbench(attempt=interrupted_at(bench, spent))
        found = climb(workbench, RECIPE, "balanced", Silent())

    for format in bench.formats:
        if held := lifted(found, format):
            assert len(bench.floats(found.recipe, format)) == min(held)
    assert bench.alive == {artifact.path for artifact in found.artifacts}
    assert spent < 11 or lifted(found, "tflite")


def test_files_of_layers_in_float_do_not_pile_up() -> None:
    bench = Bench(outliers=(60,) * 31, limit=1e-6)
    original, alive = bench.attempt, []

    def attempt(recipe: Recipe, format: Format) -> Score:
        score = original(recipe, format)
        alive.append(len(bench.alive))
        return score

    climb(bench.workbench(attempt=attempt), RECIPE, "balanced", Silent())

    assert len(bench.attempts) > 12 and max(alive) <= 5


def test_a_trial_that_takes_too_long_is_cut_short() -> None:
    bench = Bench(limit=0.01, gains={"mse": 0.5, "entropy": 0.5, "adaptive_rounding": 0.1})
    original = bench.attempt

    def attempt(recipe: Recipe, format: Format) -> Score:
        if "adaptive_rounding" in recipe.passes:
            time.sleep(60)
        return original(recipe, format)

    found = climb(bench.workbench(attempt=attempt), RECIPE, "best", Silent(), 1.0)

    assert (found.ended, found.recipe.calibrator) == ("budget", "mse")
    assert names(found)[-1] != "adaptive rounding", "it never came to its end"
    assert len(found.artifacts) == 2


def interrupted_at(bench: Bench, number: int) -> object:
    """``attempt``, but the user presses Ctrl-C while it runs for this time."""

    def attempt(recipe: Recipe, format: Format) -> Score:
        score = bench.attempt(recipe, format)
        if len(bench.attempts) == number:
            os.kill(os.getpid(), signal.SIGINT)
        return score

    return attempt


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7])
def test_ctrl_c_keeps_the_best_so_far(number: int) -> None:
    bench = Bench(limit=0.01, gains={"mse": 0.9, "entropy": 0.5, "equalize": 0.5})
    watch, before = Noted(), signal.getsignal(signal.SIGINT)
    found = climb(bench.workbench(attempt=interrupted_at(bench, number)), RECIPE, "best", watch)

    assert found.ended == "interrupted"
    assert any("best so far" in note for note in watch.notes)
    assert len(found.artifacts) == 2
    assert [t.trial.recipe for t in found.tried if t.kept][-1] == found.recipe
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_plain_int8_was_judged_leaves_the_recipe_as_it_is() -> None:
    bench = Bench()
    found = climb(bench.workbench(attempt=interrupted_at(bench, 1)), RECIPE, "best", Silent())

    assert (found.recipe, found.artifacts, found.tried) == (RECIPE, (), ())


def test_a_second_ctrl_c_ends_the_program() -> None:
    bench = Bench()

    class Impatient(Silent):
        def note(self, text: str) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        climb(bench.workbench(attempt=interrupted_at(bench, 1)), RECIPE, "best", Impatient())


def test_progress_tells_the_rung_and_the_best_so_far() -> None:
    bench, watch = Bench(limit=0.01, gains={"mse": 0.5}), Noted()
    climb(bench.workbench(layers=()), RECIPE, "best", watch)

    assert watch.stages[0] == "judge plain int8 on what was held back"
    assert watch.stages[1].startswith("try calibrator mse (error ")


@pytest.mark.parametrize("error", [Unsupported, RefusedInput])
def test_a_rung_that_cannot_be_made_is_passed_over(error: type[EdgeconvError]) -> None:
    bench = Bench(limit=0.01, gains={"mse": 0.5, "entropy": 0.2})
    original = bench.attempt

    def attempt(recipe: Recipe, format: Format) -> Score:
        if recipe.calibrator == "mse":
            raise error("ai-edge-quantizer can't do this.")
        return original(recipe, format)

    found = climb(bench.workbench(attempt=attempt, layers=()), RECIPE, "best", Silent())

    assert found.recipe.calibrator == "entropy"
    assert found.tried[1].failed == "ai-edge-quantizer can't do this."
    assert [tried.failed for tried in found.tried[2:4]] == ["", ""]


numbers = st.floats(0.2, 3.0)


@settings(max_examples=60, deadline=None)
@given(
    outliers=st.lists(st.floats(0.5, 80.0), min_size=2, max_size=8),
    gains=st.dictionaries(
        st.sampled_from(["mse", "entropy", "minmax", "equalize", "adaptive_rounding"]), numbers
    ),
    limit=st.floats(0.05, 60.0),
    effort=st.sampled_from(["balanced", "best"]),
    seed=st.integers(0, 50),
)
def test_the_result_is_never_worse_than_plain_int8(
    outliers: list[float], gains: dict[str, float], limit: float, effort: str, seed: int
) -> None:
    bench = Bench(outliers, gains, limit, seed=seed)
    found = climb(bench.workbench(), RECIPE, effort, Silent())  # type: ignore[arg-type]
    plain = [100 * loss**0.5 for loss in losses(bench, RECIPE)]
    best = [100 * loss**0.5 for loss in losses(bench, found.recipe)]

    for ours, theirs in zip(best, plain, strict=True):
        assert ours <= 1.1 * theirs
        assert not theirs <= limit < ours, "a gate that held is lost"
    assert sum(best) <= 1.1 * sum(plain)
    assert [a.recipe for a in found.artifacts] == [found.recipe] * 2


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 50), limit=st.floats(0.1, 10.0))
def test_the_same_trials_give_the_same_recipe(seed: int, limit: float) -> None:
    gains = {"mse": 0.7, "equalize": 0.9}
    found = [
        climb(Bench((9, 1, 30), gains, limit, seed=seed).workbench(), RECIPE, "best", Silent())
        for _ in range(2)
    ]

    assert found[0].recipe == found[1].recipe
    assert names(found[0]) == names(found[1])
