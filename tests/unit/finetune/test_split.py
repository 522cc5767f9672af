"""Which side a picture falls on: by content, class by class."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeconv.errors import RefusedInput
from edgeconv.finetune.split import TEST, TRAIN, VALIDATION, divide, refuse_contradictions


def contents(count: int, start: int = 0) -> list[str]:
    return [f"content {number}" for number in range(start, start + count)]


def test_each_class_is_divided_in_the_same_shares() -> None:
    hashes, classes = contents(300), [0] * 200 + [1] * 100
    sides = divide(hashes, classes, seed=0)
    for index, count in ((0, 200), (1, 100)):
        found = Counter(side for side, own in zip(sides, classes, strict=True) if own == index)
        assert found == {TRAIN: 0.7 * count, VALIDATION: 0.15 * count, TEST: 0.15 * count}


def test_the_seed_decides_and_the_order_does_not() -> None:
    hashes = contents(60)
    once = dict(zip(hashes, divide(hashes, [0] * 60, seed=3), strict=True))
    back = hashes[::-1]
    assert once == dict(zip(back, divide(back, [0] * 60, seed=3), strict=True))
    assert once != dict(zip(hashes, divide(hashes, [0] * 60, seed=4), strict=True))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 9))
def test_copies_stay_together_and_every_class_trains(numbers: list[int], seed: int) -> None:
    # Content n is of class n % 2, some of them many times.
    hashes, classes = [f"{number}" for number in numbers], [number % 2 for number in numbers]
    sides = divide(hashes, classes, seed)
    assert len(set(zip(hashes, sides, strict=True))) == len(set(hashes))
    trained = {own for own, side in zip(classes, sides, strict=True) if side == TRAIN}
    assert trained == set(classes)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, {TRAIN: 1}),
        (2, {TRAIN: 1, VALIDATION: 1}),
        (3, {TRAIN: 1, VALIDATION: 1, TEST: 1}),
        (4, {TRAIN: 2, VALIDATION: 1, TEST: 1}),
    ],
)
def test_a_small_class_trains_first_then_validates_then_tests(
    count: int, expected: dict[str, int]
) -> None:
    assert Counter(divide(contents(count), [0] * count, seed=0)) == expected


def test_nothing_is_kept_for_the_test_where_it_has_its_own_pictures() -> None:
    sides = Counter(divide(contents(100), [0] * 100, seed=0, with_test=False))
    assert sides == {TRAIN: 85, VALIDATION: 15}


def test_one_picture_in_two_classes_is_refused_by_both_names() -> None:
    with pytest.raises(RefusedInput, match=r"cat/1\.png and dog/9\.png are the same picture"):
        refuse_contradictions(
            ["a", "b", "a"], [0, 0, 1], ["cat/1.png", "cat/2.png", "dog/9.png"], "pets"
        )


def test_a_copy_in_its_own_class_is_no_contradiction() -> None:
    refuse_contradictions(["a", "a"], [1, 1], ["dog/1.png", "dog/2.png"], "pets")
