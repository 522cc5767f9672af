"""Arrays from .npz."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeconv.data import open_dataset
from edgeconv.errors import RefusedInput, UsageError
from edgeconv.preprocess import Preprocess
from tests.unit.data.test_folder import Notes

PICTURES = Preprocess(height=8, width=8, scale=(1 / 255,))
VECTORS = Preprocess(kind="array", scale=(0.5,), offset=(-1.0,))
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 8, 8, 3), np.uint8)
Y = np.array([0, 1, 2, 1, 0])


def saved(folder: Path, compressed: bool = True, **arrays: object) -> str:
    path = folder / "data.npz"
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return str(path)


@pytest.mark.parametrize("compressed", [True, False])
def test_pixels_and_labels_are_read_in_batches(tmp_path: Path, compressed: bool):
    spec = saved(tmp_path, compressed, x=PIXELS, y=Y)
    items = open_dataset(spec, PICTURES, classes=3, input_shapes=((None, 8, 8, 3),))
    for _ in range(2):  # may be called again
        batches = list(items.batches(2))
        assert [len(batch.ids) for batch in batches] == [2, 2, 1]
        x = np.concatenate([batch.x[0] for batch in batches])
        np.testing.assert_allclose(x, PIXELS / 255, atol=1e-6)
        assert np.concatenate([batch.y for batch in batches]).tolist() == Y.tolist()
    assert batches[2].ids == ("array 4",)


@pytest.mark.parametrize("compressed", [True, False])
def test_fortran_order_and_foreign_byte_order_are_read(tmp_path: Path, compressed: bool):
    x = np.asfortranarray(RNG.normal(size=(4, 3, 2)).astype(">f8"))
    items = open_dataset(saved(tmp_path, compressed, x=x), VECTORS)
    np.testing.assert_allclose(next(items.batches(4)).x[0], x * 0.5 - 1, rtol=1e-6)


def test_a_split_picks_its_own_arrays(tmp_path: Path):
    spec = saved(tmp_path, x_test=PIXELS[:2], y_test=Y[:2], x_train=PIXELS[2:], y_train=Y[2:])
    test = open_dataset(f"{spec}:test", PICTURES, classes=3)
    assert len(test) == 2 and test.labels.tolist() == [0, 1] and test.name == f"{spec}:test"
    with pytest.raises(UsageError, match="no array 'x'") as refused:
        open_dataset(spec, PICTURES)
    assert f"{spec}:test" in refused.value.hint
    with pytest.raises(UsageError, match="no array 'x_val'"):
        open_dataset(f"{spec}:val", PICTURES)


def test_other_names_are_given_by_key(tmp_path: Path):
    spec = saved(tmp_path, specs=PIXELS, labels=Y)
    items = open_dataset(spec, PICTURES, classes=3, x_key="specs", y_key="labels")
    assert items.labels.tolist() == Y.tolist()
    with pytest.raises(UsageError, match="no array 'targets'"):
        open_dataset(spec, PICTURES, x_key="specs", y_key="targets")


def test_without_y_there_are_no_labels(tmp_path: Path):
    items = open_dataset(saved(tmp_path, x=PIXELS), PICTURES, classes=3)
    assert not items.labelled and next(items.batches(9)).y is None


def test_several_inputs_are_named_with_commas(tmp_path: Path):
    spec = saved(tmp_path, left=np.ones((2, 3)), right=np.zeros((2, 4)))
    shapes = ((None, 3), (None, 4))
    items = open_dataset(spec, VECTORS, x_key="left,right", input_shapes=shapes)
    (batch,) = items.batches(2)
    assert [x.shape for x in batch.x] == [(2, 3), (2, 4)]
    assert batch.x[0][0, 0] == -0.5 and batch.x[1][0, 0] == -1
    with pytest.raises(UsageError, match="2 inputs, 1 arrays"):
        open_dataset(spec, VECTORS, x_key="left", input_shapes=shapes)


def test_pixels_of_another_size_are_resized(tmp_path: Path):
    x = np.full((2, 30, 20), 255, np.uint8)  # grey, no channel axis
    items = open_dataset(saved(tmp_path, x=x), PICTURES, input_shapes=((1, 8, 8, 3),))
    (batch,) = items.batches(2)
    assert batch.x[0].shape == (2, 8, 8, 3) and np.allclose(batch.x[0], 1)


@pytest.mark.parametrize(
    ("x", "preprocess", "shape"),
    [
        (np.zeros((2, 9, 9, 3), np.float32), PICTURES, (None, 8, 8, 3)),
        (np.zeros((2, 8, 8, 2), np.uint8), PICTURES, (None, 8, 8, 3)),
        (np.zeros((2, 8), np.uint8), PICTURES, (None, 8, 8, 3)),
        (np.zeros((2, 7)), VECTORS, (None, 8)),
        (np.zeros((2, 49, 10)), VECTORS, (1, 49, 10, 1)),
        (np.zeros(2), VECTORS, (1, 8)),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_both_shapes(
    tmp_path: Path, x: np.ndarray, preprocess: Preprocess, shape: tuple[int | None, ...]
):
    with pytest.raises(RefusedInput) as refused:
        open_dataset(saved(tmp_path, x=x), preprocess, input_shapes=(shape,))
    assert str(list(x.shape[1:])) in refused.value.message
    assert str(list(shape[1:])) in refused.value.message


def test_pictures_of_the_wrong_size_are_refused_where_nothing_resizes(tmp_path: Path):
    fixed = Preprocess(height=16, width=16, resize="none")
    with pytest.raises(RefusedInput, match="8 x 8, the model takes 16 x 16"):
        open_dataset(saved(tmp_path, x=PIXELS), fixed)


def test_a_free_axis_takes_any_length(tmp_path: Path):
    spec = saved(tmp_path, x=np.zeros((2, 7, 4)))
    assert len(open_dataset(spec, VECTORS, input_shapes=((None, None, 4),))) == 2


@pytest.mark.parametrize(
    ("y", "cause"),
    [
        (np.array([0, 1, 2, 3, 0]), r"y\[3\] is 3, the model has 3 classes"),
        (np.array([0, -1, 2, 1, 0]), r"y\[1\] is -1"),
        (np.array([0.0, 1, 2, 1, 0]), "float64"),
        (np.eye(5, dtype=int), "not class indices"),
        (np.array(list("abcba")), "not class indices"),
        (np.array([0, 1]), "5 items, but 2 labels"),
    ],
)
def test_wrong_labels_are_refused(tmp_path: Path, y: np.ndarray, cause: str):
    with pytest.raises(RefusedInput, match=cause):
        open_dataset(saved(tmp_path, x=PIXELS, y=y), PICTURES, classes=3)


def test_a_column_of_labels_is_accepted(tmp_path: Path):
    items = open_dataset(saved(tmp_path, x=PIXELS, y=Y[:, None].astype(np.uint8)), PICTURES)
    assert items.labels.tolist() == Y.tolist() and items.labels.dtype == np.int64


def test_targets_of_a_model_that_is_no_classifier_are_ignored_with_a_note(tmp_path: Path):
    notes = Notes()
    spec = saved(tmp_path, x=PIXELS, y=np.zeros((5, 2)))
    assert not open_dataset(spec, PICTURES, progress=notes).labelled
    assert "was ignored" in notes.texts[0]


def test_no_items_are_refused(tmp_path: Path):
    for x in (np.zeros((0, 8, 8, 3), np.uint8), np.uint8(3)):
        with pytest.raises(RefusedInput, match="empty"):
            open_dataset(saved(tmp_path, x=x), PICTURES)


def test_pixels_that_are_already_scaled_are_refused(tmp_path: Path):
    with pytest.raises(RefusedInput, match=r"holds 0\.\.1"):
        open_dataset(saved(tmp_path, x=(PIXELS / 255).astype(np.float32)), PICTURES)


def test_an_item_that_is_not_finite_is_refused_by_number(tmp_path: Path):
    x = np.zeros((5, 3))
    x[3, 1] = np.nan
    items = open_dataset(saved(tmp_path, x=x), VECTORS)
    with pytest.raises(RefusedInput, match=r"array 3: .*NaN"):
        list(items.batches(2))


def test_the_real_keyword_features_have_their_documented_range(shared_data: Path):
    scale, zero_point = 0.58470291, 83
    features = Preprocess(kind="array", scale=(scale,), offset=(-zero_point * scale,))
    spec = str(shared_data / "mlperf-tiny" / "kws01.npz")
    items = open_dataset(spec, features, classes=12, input_shapes=((None, 49, 10, 1),))
    x = np.concatenate([batch.x[0] for batch in items.batches(64)])
    assert x.shape == (1000, 49, 10, 1)
    assert (round(float(x.min()), 1), round(float(x.max()), 1)) == (-123.4, 25.7)


def test_the_same_arrays_are_seen_through_another_preprocessing(tmp_path: Path):
    items = open_dataset(saved(tmp_path, x=PIXELS, y=Y), PICTURES, classes=3).select([4, 1])
    other = items.with_preprocess(replace(PICTURES, color="bgr", scale=(1.0,)))
    (batch,) = other.batches(2)
    np.testing.assert_array_equal(batch.x[0], PIXELS[[4, 1], ..., ::-1])
    assert batch.y.tolist() == [0, 1] and batch.ids == ("array 4", "array 1")
    assert other.fingerprint == items.fingerprint
    np.testing.assert_allclose(next(items.batches(2)).x[0], PIXELS[[4, 1]] / 255, atol=1e-6)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's /proc")
def test_a_large_file_is_never_wholly_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.npz"
    np.savez(path, x=np.ones((64, 2**18), np.float32))  # 64 MiB
    items = open_dataset(str(path), Preprocess(kind="array"))

    resident = [_resident_bytes(path) for _ in items.batches(1)]

    assert 0 < max(resident) < 16 * 2**20


def _resident_bytes(path: Path) -> int:
    """Of the mappings of ``path`` in this process."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line.endswith(str(path)):
            inside = True
        elif inside and line.startswith("Rss:"):
            total, inside = total + int(line.split()[1]) * 1024, False
    return total
