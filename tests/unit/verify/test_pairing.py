"""Classes are the same where their labels are."""

import numpy as np
import pytest

from edgeconv.verify.pairing import pair_classes

ABC = ("ant", "bee", "cat")


def test_the_same_order_needs_no_pairing() -> None:
    assert pair_classes(ABC, ABC).columns is None


def test_columns_stand_in_the_reference_s_order() -> None:
    pairing = pair_classes(ABC, ("cat", "ant", "bee"))

    assert pairing.columns == (1, 2, 0)
    assert pairing.ordered(np.array([[30, 10, 20]])).tolist() == [[10, 20, 30]]


def test_labels_are_compared_as_people_read_them() -> None:
    assert pair_classes(("é", "b"), ("b ", "e\u0301")).columns == (1, 0)


def test_a_class_too_many_is_left_out_and_said() -> None:
    pairing = pair_classes(ABC, ("background", *ABC))

    assert pairing.columns == (1, 2, 3)
    assert "'background'" in pairing.note


def test_unknown_labels_are_paired_in_order_and_said() -> None:
    pairing = pair_classes(ABC, ("bee", "X", "cat"))

    assert pairing.columns == (1, 0, 2)
    assert "'ant'" in pairing.note and "'X'" in pairing.note


@pytest.mark.parametrize(
    ("reference", "candidate", "classes"),
    [
        ((), ABC, None),
        (ABC, (), None),
        (ABC, ("bee", "ant", "cat"), 4),
        (ABC, ("bee", "ant"), None),
        (ABC, ("x", "y", "z"), None),
    ],
    ids=["no reference", "no candidate", "columns", "a class too few", "strangers"],
)
def test_without_a_sure_pairing_the_order_counts(
    reference: tuple[str, ...], candidate: tuple[str, ...], classes: int | None
) -> None:
    assert pair_classes(reference, candidate, classes).columns is None


def test_classes_of_one_name_are_paired_in_their_order() -> None:
    assert pair_classes(("a", "b", "a", "c"), ("c", "a", "b", "a")).columns == (1, 2, 3, 0)


def test_hostile_labels_are_shown_harmlessly() -> None:
    assert "\x1b" not in pair_classes(ABC, ("\x1b[31m", *ABC)).note
