"""Rows: what is appended comes back, by slices."""

from pathlib import Path

import numpy as np
import pytest

from edgeconv.errors import InternalError
from edgeconv.rows import Rows


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    return Rows(tmp_path / "rows.f32")


def test_rows_come_back_in_order_whatever_the_batches(rows: Rows) -> None:
    x = np.random.default_rng(0).normal(size=(11, 2, 3)).astype(np.float32)
    for start, stop in ((0, 4), (4, 5), (5, 11)):
        rows.append(x[start:stop])

    assert (len(rows), rows.shape) == (11, (11, 2, 3))
    assert np.array_equal(rows[:], x)
    assert np.array_equal(rows[3:7], x[3:7])
    assert np.array_equal(rows[9:99], x[9:])
    assert np.array_equal(rows[5], x[5])


def test_rows_may_be_read_between_writes(rows: Rows) -> None:
    rows.append(np.zeros((2, 3), np.float32))
    assert rows[0:2].sum() == 0
    rows.append(np.ones((1, 3), np.float32))

    assert rows[:].sum() == 3


def test_an_empty_store_has_no_rows(rows: Rows) -> None:
    assert (len(rows), rows.shape) == (0, (0,))


def test_rows_of_another_shape_are_our_bug(rows: Rows) -> None:
    rows.append(np.zeros((2, 3), np.float32))

    with pytest.raises(InternalError):
        rows.append(np.zeros((2, 4), np.float32))
