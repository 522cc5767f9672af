"""Rare classes weigh more, within reason."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeconv.finetune.balance import class_weights


def test_equal_classes_weigh_one() -> None:
    assert class_weights([0, 1, 2] * 7, 3) == (1.0, 1.0, 1.0)


def test_each_class_counts_the_same_in_sum() -> None:
    classes = [0] * 40 + [1] * 10
    heavy = np.array(class_weights(classes, 2))[classes]
    assert heavy[:40].sum() == pytest.approx(heavy[40:].sum()) == pytest.approx(25)


def test_a_single_picture_is_not_shouted_down_the_networks_throat() -> None:
    common, rare = class_weights([0] * 1000 + [1], 2)
    assert rare / common == pytest.approx(10)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=99).map(lambda own: [*own, 0, 1, 2, 3]))
def test_the_mean_weight_of_a_picture_is_one(classes: list[int]) -> None:
    weights = class_weights(classes, 4)
    assert sum(weights[index] for index in classes) / len(classes) == pytest.approx(1)
