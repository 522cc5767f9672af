"""Sensitivity: the worst layers are found, with no more questions than are allowed."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.recover.sensitivity import decibels, most_sensitive


class Powers:
    """Error powers of layers, which add up as those of independent errors do."""

    def __init__(self, powers: Sequence[float]) -> None:
        self.layers = [f"layer_{i}" for i in range(len(powers))]
        self.powers = dict(zip(self.layers, powers, strict=True))
        self.asked = 0

    def alone(self, names: Sequence[str]) -> float:
        self.asked += 1
        return sum(self.powers[name] for name in names)

    def without(self, names: Sequence[str]) -> float:
        return sum(self.powers.values()) - sum(self.powers[name] for name in names)


def equal(layer: str) -> float:
    return 1.0


def test_layers_are_ordered_by_what_they_lose_for_what_they_cost() -> None:
    model = Powers([1.0, 5.0, 2.0])
    costs = {"layer_0": 1.0, "layer_1": 10.0, "layer_2": 1.0}
    found = [
        most_sensitive(model.layers, model.alone, model.without, costs.__getitem__, 8, confirmed)
        for confirmed in (0, 3)
    ]

    assert [each.layer for each in found[0]] == ["layer_2", "layer_0", "layer_1"]
    assert [each.layer for each in found[1]] == ["layer_2", "layer_0", "layer_1"]


def test_a_layer_without_which_nothing_is_gained_comes_after_one_that_gains() -> None:
    """All int8 answers with NaN, unless ``c`` is in float."""
    left = {"a": float("inf"), "b": float("inf"), "c": 1.0}
    found = most_sensitive(
        "abc", lambda names: 1.0, lambda names: left[names[0]] if names else left["a"], equal, 8, 3
    )

    assert [each.layer for each in found] == ["c", "a", "b"]


def test_every_layer_is_asked_where_there_are_few() -> None:
    model = Powers([0.1, 5.0, 0.3])
    found = most_sensitive(model.layers, model.alone, model.without, equal, 64, 2)

    assert [each.layer for each in found] == ["layer_1", "layer_2", "layer_0"]
    assert [each.alone for each in found] == [5.0, 0.3, 0.1]
    assert found[0].without == pytest.approx(0.4)
    assert found[2].without is None
    assert model.asked == 3


def test_what_the_output_gains_orders_the_worst() -> None:
    """Two layers may lose as much alone, and one of them nothing beside the other."""
    gains = {"a": 3.0, "b": 1.0, "c": 2.0}
    found = most_sensitive(
        "abc", lambda names: 1.0, lambda names: gains[names[0]] if names else 4.0, equal, 8, 3
    )

    assert [each.layer for each in found] == ["b", "c", "a"]


def test_the_worst_of_many_layers_are_found_block_by_block() -> None:
    powers = [0.001] * 300
    powers[17], powers[18], powers[250] = 9.0, 5.0, 7.0
    model = Powers(powers)
    found = most_sensitive(model.layers, model.alone, model.without, equal, 64, 0)

    assert [each.layer for each in found[:3]] == ["layer_17", "layer_250", "layer_18"]
    assert model.asked <= 64


def test_layers_of_a_block_that_was_not_halved_follow_by_what_a_layer_of_it_loses() -> None:
    model = Powers([1.0] * 8 + [3.0] * 8 + [2.0] * 8)
    found = most_sensitive(model.layers, model.alone, model.without, equal, 6, 0)
    whole = [each for each in found if each.block == 8]

    assert {each.layer for each in found[:8]} == set(model.layers[8:16])
    assert [each.layer for each in whole] == [*model.layers[16:], *model.layers[:8]]
    assert [each.alone for each in whole] == [16.0] * 8 + [8.0] * 8


@settings(deadline=None)
@given(st.lists(st.floats(0, 10), max_size=200), st.integers(1, 80))
def test_no_more_is_asked_than_allowed_and_no_layer_told_twice(
    powers: list[float], trials: int
) -> None:
    model = Powers(powers)
    found = most_sensitive(model.layers, model.alone, model.without, equal, trials, 4)
    names = [each.layer for each in found]

    assert model.asked <= trials
    assert sorted(names) == sorted(model.layers)
    assert all(each.block == 1 for each in found) or len(powers) > trials


def test_decibels_of_no_error_are_none() -> None:
    assert decibels(0.01) == pytest.approx(20.0)
    assert decibels(0.0) is decibels(float("inf")) is decibels(None) is None
