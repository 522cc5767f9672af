"""Views, splits and overlap."""

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgeconv.data import Items, open_dataset, refuse_overlap, split
from edgeconv.data.items import all_items
from edgeconv.data.stream import ordered_map
from edgeconv.errors import RefusedInput, UsageError
from edgeconv.preprocess import Preprocess
from edgeconv.types import Array, Dataset

SMALL = Preprocess(height=8, width=8, resize="stretch")


@dataclass(frozen=True)
class Listed:
    """A source whose items are their own hashes."""

    contents: tuple[str, ...]
    labels: Array | None = None

    @property
    def ids(self) -> Sequence[str]:
        return self.contents

    def hashes(self, indices: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.contents[index] for index in indices)

    def load(self, indices: Sequence[int]) -> Iterator[tuple[Array, ...]]:
        return ((np.full((1, 2), index, np.float32),) for index in indices)


def listed(contents: Sequence[str], labels: Sequence[int] | None = None) -> Items:
    return all_items(Listed(tuple(contents), None if labels is None else np.array(labels)), "set")


def numbered(count: int) -> list[str]:
    return [f"item {number}" for number in range(count)]


# --- views -----------------------------------------------------------------------------------


def test_items_are_a_dataset():
    dataset: Dataset = listed(numbered(3))
    assert len(dataset) == 3 and not dataset.labelled


def test_a_view_of_a_view_keeps_items_and_labels_together():
    items = listed(numbered(6), [10, 11, 12, 13, 14, 15]).select([5, 3, 1]).select([2, 0])
    (batch,) = items.batches(10)
    assert batch.ids == ("item 1", "item 5") and batch.y.tolist() == [11, 15]
    assert batch.x[0][:, 0].tolist() == [1, 5]


def test_take_spreads_over_the_whole_set():
    items = listed(numbered(10))
    assert items.take(3).ids == ("item 0", "item 3", "item 6")
    assert items.take(99) is items


def test_the_fingerprint_knows_content_order_and_labels():
    prints = {
        items.fingerprint
        for items in (
            listed(["a", "b"]),
            listed(["b", "a"]),
            listed(["a", "c"]),
            listed(["a", "b"], [0, 1]),
            listed(["a", "b"], [1, 0]),
        )
    }
    assert len(prints) == 5
    assert listed(["a", "b"]).fingerprint == listed(["a", "b"]).fingerprint


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(UsageError, match="batch size is 0"):
        listed(["a"]).batches(0)


# --- splits ----------------------------------------------------------------------------------

SETS = st.lists(
    st.tuples(st.integers(0, 40).map(str), st.integers(0, 3)), min_size=2, max_size=60
).filter(lambda items: len({content for content, _ in items}) > 1)


@given(SETS, st.floats(0.05, 0.95), st.integers(0, 3), st.randoms())
def test_a_split_is_a_partition_that_order_does_not_change(items, share, seed, random):
    # One class an item: copies that disagree are looked at in a test of their own.
    items = [(content, int(content) % 4) for content, _ in items]
    dataset = listed(*zip(*items, strict=True))
    calibration, parity = split(dataset, share, seed)
    assert sorted(calibration.indices + parity.indices) == list(range(len(items)))
    assert len(calibration) and len(parity)
    assert not set(calibration.item_hashes()) & set(parity.item_hashes())
    refuse_overlap(calibration, parity)
    random.shuffle(items)
    again = split(listed(*zip(*items, strict=True)), share, seed)
    assert set(again[0].item_hashes()) == set(calibration.item_hashes())


@given(st.integers(2, 30), st.integers(1, 6), st.floats(0.2, 0.8), st.integers(0, 5))
def test_a_split_gives_every_class_its_share(each: int, classes: int, share: float, seed: int):
    labels = np.repeat(np.arange(classes), each)
    _, parity = split(listed(numbered(len(labels)), labels), share, seed)
    assert abs(len(parity) - share * len(labels)) <= 1
    counts = np.bincount(parity.labels, minlength=classes)
    assert (abs(counts - share * each) <= 1).all(), "a class is over-represented on one side"


def test_classes_of_one_item_each_are_divided_too():
    calibration, parity = split(listed(numbered(250), range(250)))
    assert (len(calibration), len(parity)) == (125, 125)


def test_another_seed_divides_differently():
    items = listed(numbered(40))
    assert split(items, seed=0)[0].ids == split(items, seed=0)[0].ids
    assert split(items, seed=0)[0].ids != split(items, seed=1)[0].ids


def test_copies_stay_together_even_if_their_labels_differ():
    contents = ["a", "b", "a", "c", "a"]
    for seed in range(20):
        calibration, parity = split(listed(contents, [0, 1, 1, 0, 2]), seed=seed)
        assert not set(calibration.ids) & set(parity.ids)


@pytest.mark.parametrize("contents", [["a"], ["a", "a", "a"]])
def test_a_single_item_cannot_be_split(contents: list[str]):
    with pytest.raises(UsageError, match="only one item") as refused:
        split(listed(contents))
    assert "--parity" in refused.value.hint


@pytest.mark.parametrize("share", [0, 1, -1, float("nan")])
def test_a_share_that_leaves_no_two_sides_is_refused(share: float):
    with pytest.raises(UsageError, match="parity share"):
        split(listed(["a", "b"]), share)


# --- overlap ---------------------------------------------------------------------------------


def test_the_same_picture_under_another_name_is_found(tmp_path: Path):
    for side, names in (("one", "ab"), ("two", "cd")):
        (tmp_path / side).mkdir()
        for number, name in enumerate(names):
            shade = number if name != "d" else 9
            Image.new("RGB", (9, 9), (shade, 0, 0)).save(tmp_path / side / f"{name}.png")
    one, two = (open_dataset(str(tmp_path / side), SMALL) for side in ("one", "two"))
    with pytest.raises(RefusedInput, match=r"1 item .*c\.png \(= a\.png\)"):
        refuse_overlap(one, two)
    refuse_overlap(one, two.select([1]))


def test_at_most_three_shared_items_are_named():
    items = listed(numbered(9))
    with pytest.raises(RefusedInput) as refused:
        refuse_overlap(items, items)
    assert refused.value.message.endswith("item 0, item 1, item 2, ....")


# --- streaming -------------------------------------------------------------------------------


def test_results_come_in_order_and_only_a_bounded_number_ahead():
    started: list[int] = []

    def work(number: int) -> int:
        started.append(number)
        return number * number

    stream = ordered_map(work, range(1000))
    assert next(stream) == 0
    assert len(started) <= 40
    assert list(stream) == [number * number for number in range(1, 1000)]


def test_an_error_comes_at_its_turn_and_an_abandoned_stream_ends():
    stream = ordered_map(lambda number: 1 // (number - 2), range(10))
    assert [next(stream), next(stream)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(stream)
    abandoned = ordered_map(str, range(10**9))
    next(abandoned)
    abandoned.close()


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    (tmp_path / "m.csv").write_text("file\n" + "a.png\n" * 2000)
    items = open_dataset(str(tmp_path / "m.csv"), Preprocess(height=64, width=64, resize="none"))
    whole = 2000 * 64 * 64 * 3 * 4
    tracemalloc.start()
    for batch in items.batches(8):
        assert batch.x[0].shape == (8, 64, 64, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < whole / 10, f"{peak} bytes were held at once, of {whole} in all"
