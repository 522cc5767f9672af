import sys

import numpy as np

from edgeconv.calibrate import Observer
from edgeconv.types import Array


def held_bytes(observer):
    """All that an observer holds, arrays with what they are views of."""
    held = 0
    for value in vars(observer).values():
        if isinstance(value, np.ndarray):
            owner: Array = value
            while isinstance(owner.base, np.ndarray):
                owner = owner.base
            held += owner.nbytes
        else:
            held += sys.getsizeof(value)
    return held


def test_ten_thousand_items_leave_no_more_behind_than_one_hundred():
    rng = np.random.default_rng(0)
    items = [rng.normal(scale=2.0 ** (k / 8), size=(1, 4, 4, 8)) for k in range(100)]
    observer = Observer("t", 2048)
    for x in items:
        observer.update(x.astype(np.float32))
    few = held_bytes(observer)
    for _ in range(99):
        for x in items:
            observer.update(x.astype(np.float32))
    assert observer.range().counts.sum() == 10_000 * 128, "some items were not counted"
    assert held_bytes(observer) <= few + 64, "a number may grow by a digit, nothing else"
    assert few < 20_000


def test_a_larger_tensor_takes_no_more_but_for_its_channels():
    sizes = []
    for side in (4, 64):
        observer = Observer("t", 2048)
        observer.update(np.ones((1, side, side, 8), np.float32))
        sizes.append(held_bytes(observer))
    assert sizes[0] == sizes[1]
