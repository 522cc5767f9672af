"""The part of a calibration set that a search judges on."""

from pathlib import Path

import numpy as np
import pytest

from edgeconv.data import Items, hold_back, open_dataset
from edgeconv.preprocess import Preprocess


def items(folder: Path, count: int, different: int | None = None) -> Items:
    x = np.arange(count) % (different or count)
    np.savez(folder / "x.npz", x=np.repeat(x[:, None], 4, axis=1).astype(np.float32))
    return open_dataset(str(folder / "x.npz"), Preprocess(kind="array"), input_shapes=[(None, 4)])


@pytest.mark.parametrize(
    ("count", "held"), [(48, 16), (64, 21), (96, 32), (100, 32), (160, 32), (250, 50), (1000, 200)]
)
def test_a_fifth_is_held_back_and_a_few_dozen_where_there_are_enough(
    tmp_path: Path, count: int, held: int
) -> None:
    rest, back = hold_back(items(tmp_path, count))

    assert back is not None and rest is not None
    assert abs(len(back) - held) <= 1
    assert len(rest) + len(back) == count
    assert not set(rest.item_hashes()) & set(back.item_hashes())


def test_no_more_is_held_back_than_a_trial_can_run_through(tmp_path: Path) -> None:
    _, back = hold_back(items(tmp_path, 5000))

    assert back is not None and abs(len(back) - 200) <= 1


def test_it_is_the_same_every_time_and_another_with_another_seed(tmp_path: Path) -> None:
    whole = items(tmp_path, 200)
    first, again, other = (hold_back(whole, seed)[1] for seed in (0, 0, 1))

    assert first is not None and again is not None and other is not None
    assert first.ids == again.ids != other.ids


@pytest.mark.parametrize(("count", "different"), [(47, 47), (100, 1)])
def test_too_few_items_stay_together(tmp_path: Path, count: int, different: int) -> None:
    whole = items(tmp_path, count, different)

    assert hold_back(whole) == (whole, None)


def test_no_calibration_set_has_no_part() -> None:
    assert hold_back(None) == (None, None)
