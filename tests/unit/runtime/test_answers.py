"""Activation, the k best, and labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeconv.errors import RefusedInput
from edgeconv.runtime.answers import Answer, activate, best, read_labels

LOGITS = arrays(np.float32, st.integers(1, 20), elements=st.floats(-(2.0**99), 2.0**99, width=32))


def answer(values: list[float], activation: str) -> Answer:
    x = np.array(values, np.float32)
    return Answer("x", (x,), activate(x, activation))


@given(LOGITS)
def test_softmax_is_a_distribution_however_large_the_logits(x: np.ndarray) -> None:
    p = activate(x, "softmax")
    assert p.dtype == np.float64
    assert p.min() >= 0.0
    assert p.sum() == pytest.approx(1.0)
    assert p[x.argmax()] == p.max()


@given(LOGITS)
def test_sigmoid_stays_in_range_and_is_symmetric(x: np.ndarray) -> None:
    p = activate(x, "sigmoid")
    assert p.min() >= 0.0
    assert p.max() <= 1.0
    np.testing.assert_allclose(p + activate(-x, "sigmoid"), 1.0, atol=1e-12)


def test_known_values() -> None:
    softmax = activate(np.array([1.0, 2.0, 3.0]), "softmax")
    np.testing.assert_allclose(softmax, [0.09003057, 0.24472847, 0.66524096], atol=1e-8)
    assert activate(np.array([2.0]), "sigmoid")[0] == pytest.approx(0.88079708, abs=1e-8)
    assert activate(np.array([2.0]), "linear").tolist() == [2.0]


def test_the_best_come_first_and_equals_in_the_order_of_their_indices() -> None:
    rows = best(answer([1, 3, 3, 2], "softmax"), "softmax", ("a", "b", "c", "d"), 3)
    assert [row.label for row in rows] == ["b", "c", "d"]
    assert rows[0].probability == rows[1].probability
    assert len(best(answer([1, 2], "softmax"), "softmax", (), 5)) == 2


def test_without_labels_the_index_is_the_name_and_without_activation_there_is_no_probability() -> (
    None
):
    (row,) = best(answer([1, 7], "linear"), "linear", (), 1)
    assert (row.label, row.score, row.probability) == ("1", 7.0, None)


def test_one_sigmoid_with_two_labels_speaks_of_both_classes() -> None:
    rows = best(answer([-2.0], "sigmoid"), "sigmoid", ("no", "yes"), 2)
    assert [row.label for row in rows] == ["no", "yes"]
    assert rows[0].probability == pytest.approx(0.88079708)
    assert rows[0].probability + rows[1].probability == pytest.approx(1.0)


def test_labels_are_one_a_line_and_may_be_any_text() -> None:
    assert read_labels("tench\n\ncôté \U0001f431\n".encode()) == ("tench", "", "côté \U0001f431")
    assert read_labels(b"") == ()
    assert read_labels(b"no line end") == ("no line end",)


@pytest.mark.parametrize("data", [b"\xff\n", b"a\x1b[2Jb\n", "\u202eabc\n".encode(), b"a\r\n"])
def test_labels_that_would_steer_a_terminal_are_refused(data: bytes) -> None:
    with pytest.raises(RefusedInput, match=r"labels\.txt"):
        read_labels(data)
