"""What changed answers are expected to cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.recover import expected_drop


def test_the_same_answers_cost_nothing() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 5))

    assert expected_drop(logits, 3 * logits + 1) == 0.0


def test_an_answer_costs_the_difference_of_its_probabilities() -> None:
    p = np.array([[0.6, 0.3, 0.1], [0.51, 0.48, 0.01]])
    changed = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])

    assert expected_drop(np.log(p), changed) == pytest.approx(100 * (0.3 + 0.0) / 2)


def test_nan_counts_as_lost() -> None:
    p = np.array([[0.9, 0.1]])

    assert expected_drop(np.log(p), np.array([[np.nan, 1.0]])) == pytest.approx(90.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_on_average_it_is_what_labels_would_tell(seed: int) -> None:
    """Labels drawn by the original's own probabilities: the counted drop averages to it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (400, 4))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    moved = logits + rng.normal(0, 1, logits.shape)
    labels = (rng.random((200, 400, 1)) > np.cumsum(p, axis=1)).sum(axis=2)
    rights = [(scores.argmax(axis=1) == labels).mean() for scores in (logits, moved)]

    assert 100 * (rights[0] - rights[1]) == pytest.approx(expected_drop(logits, moved), abs=1.0)
