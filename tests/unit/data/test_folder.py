"""Image folders."""

import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeconv.data import Items, open_dataset
from edgeconv.errors import RefusedInput, UsageError
from edgeconv.preprocess import Preprocess

SMALL = Preprocess(height=8, width=8, resize="stretch")


class Notes:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def stage(self, title: str, total: int | None = None) -> None: ...
    def advance(self, steps: int = 1) -> None: ...
    def note(self, text: str) -> None:
        self.texts.append(text)


def picture(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (10, 12), (value, value, value)).save(path)
    return path


def classes_of(folder: Path, *names: str) -> Path:
    for value, name in enumerate(names):
        picture(folder / name / "1.png", value)
    return folder


def labels_by_id(items: Items) -> dict[str, int]:
    assert items.labels is not None
    return dict(zip(items.ids, items.labels.tolist(), strict=True))


def test_one_folder_a_class_is_labelled_in_sorted_order(tmp_path: Path):
    classes_of(tmp_path, "dog", "cat", "ant")
    picture(tmp_path / "cat" / "2.JPG")
    items = open_dataset(str(tmp_path), SMALL, classes=3)
    assert labels_by_id(items) == {"ant/1.png": 0, "cat/1.png": 1, "cat/2.JPG": 1, "dog/1.png": 2}
    (batch,) = items.batches(10)
    assert batch.x[0].shape == (4, 8, 8, 3) and batch.y is not None
    assert batch.y.tolist() == [0, 1, 1, 2] and batch.ids == items.ids
    # The pixels belong to the labels: each picture was painted with its number.
    assert batch.x[0][[0, 1, 3], 0, 0, 0].tolist() == [2, 1, 0]


def test_folders_are_matched_to_the_models_labels_by_name(tmp_path: Path):
    classes_of(tmp_path, "猫", "犬")
    items = open_dataset(str(tmp_path), SMALL, labels=("鳥", "犬", "魚", "猫"))
    assert labels_by_id(items) == {"犬/1.png": 1, "猫/1.png": 3}


def test_a_decomposed_folder_name_matches_a_composed_label(tmp_path: Path):
    classes_of(tmp_path, unicodedata.normalize("NFD", "é"), "b")
    items = open_dataset(str(tmp_path), SMALL, labels=("a", "b", "é"))
    assert sorted(labels_by_id(items).values()) == [1, 2]


def test_an_empty_class_folder_keeps_its_place_in_the_order(tmp_path: Path):
    classes_of(tmp_path, "a", "c")
    (tmp_path / "b").mkdir()
    items = open_dataset(str(tmp_path), SMALL, classes=3)
    assert labels_by_id(items) == {"a/1.png": 0, "c/1.png": 2}


def test_folders_that_match_no_class_are_refused(tmp_path: Path):
    classes_of(tmp_path / "pets", "cat", "dog")
    with pytest.raises(RefusedInput, match=r"pets has 2 class folders, the model 3 .*'cat'"):
        open_dataset(str(tmp_path / "pets"), SMALL, labels=("x", "y", "dog"))


def test_a_label_that_two_classes_share_is_refused(tmp_path: Path):
    classes_of(tmp_path, "crane")
    with pytest.raises(RefusedInput, match="two classes of that name"):
        open_dataset(str(tmp_path), SMALL, labels=("crane", "x", "crane"))


def test_numbered_folders_whose_order_is_in_doubt_are_refused(tmp_path: Path):
    classes_of(tmp_path, *map(str, range(11)))
    with pytest.raises(RefusedInput, match="0, 1, 10"):
        open_dataset(str(tmp_path), SMALL, classes=11)
    labels = tuple(map(str, range(11)))
    named = open_dataset(str(tmp_path), SMALL, labels=labels)
    assert labels_by_id(named)["10/1.png"] == 10


def test_numbered_folders_below_ten_are_in_order(tmp_path: Path):
    classes_of(tmp_path, *map(str, range(10)))
    assert open_dataset(str(tmp_path), SMALL, classes=10).labels.tolist() == list(range(10))


def test_a_flat_folder_has_no_labels(tmp_path: Path):
    for name in ("b.png", "a.webp"):
        picture(tmp_path / name)
    items = open_dataset(str(tmp_path), SMALL, classes=1000)
    assert not items.labelled and items.ids == ("a.webp", "b.png")
    assert next(items.batches(2)).y is None


def test_files_that_are_no_pictures_are_named_in_a_note(tmp_path: Path):
    picture(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / ".DS_Store").write_text("x")
    notes = Notes()
    assert len(open_dataset(str(tmp_path), SMALL, classes=1, progress=notes)) == 1
    assert len(notes.texts) == 1 and "a/notes.txt is no picture" in notes.texts[0]
    (tmp_path / "LICENSE").write_text("x")
    open_dataset(str(tmp_path), SMALL, classes=1, progress=notes)
    assert "2 files are no pictures" in notes.texts[1]


def test_a_folder_without_pictures_is_refused(tmp_path: Path):
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(RefusedInput, match="has no picture in it"):
        open_dataset(str(tmp_path), SMALL)


def test_a_folder_of_splits_is_refused_with_the_split_to_choose(tmp_path: Path):
    classes_of(tmp_path / "train", "a", "b")
    with pytest.raises(RefusedInput) as refused:
        open_dataset(str(tmp_path), SMALL, classes=2)
    assert f"{tmp_path}:train" in refused.value.hint
    assert len(open_dataset(f"{tmp_path}:train", SMALL, classes=2)) == 2


@pytest.mark.parametrize("split", ["test", "..", "train/a", "."])
def test_a_split_that_is_no_folder_inside_is_refused(tmp_path: Path, split: str):
    classes_of(tmp_path / "train", "a", "b")
    with pytest.raises(UsageError):
        open_dataset(f"{tmp_path}:{split}", SMALL, classes=2)


def test_pictures_beside_class_folders_are_refused(tmp_path: Path):
    classes_of(tmp_path, "a", "b")
    picture(tmp_path / "stray.png")
    with pytest.raises(RefusedInput, match=r"beside .*stray\.png"):
        open_dataset(str(tmp_path), SMALL, classes=2)


def test_a_broken_picture_is_refused_by_name_when_its_turn_comes(tmp_path: Path):
    classes_of(tmp_path, "a", "b", "c")
    broken = tmp_path / "b" / "1.png"
    broken.write_bytes(broken.read_bytes()[:50])
    batches = open_dataset(str(tmp_path), SMALL, classes=3).batches(1)
    assert next(batches).ids == ("a/1.png",)
    with pytest.raises(RefusedInput, match=r"b/1\.png"):
        next(batches)


def test_a_picture_of_a_size_that_may_not_change_is_refused_by_name(tmp_path: Path):
    picture(tmp_path / "1.png")
    items = open_dataset(str(tmp_path), Preprocess(height=8, width=8, resize="none"))
    with pytest.raises(RefusedInput, match=r"1\.png: The picture is 10 x 12"):
        next(items.batches(1))


def test_a_single_picture_is_a_set_of_one(tmp_path: Path):
    items = open_dataset(str(picture(tmp_path / "one.png", 7)), SMALL)
    assert len(items) == 1 and (next(items.batches(4)).x[0] == np.float32(7)).all()


def test_file_names_of_any_bytes_are_shown_on_one_line(tmp_path: Path):
    picture(tmp_path / "a\nb\x1b[2J.png")
    assert open_dataset(str(tmp_path), SMALL).ids == (r"a\nb\x1b[2J.png",)


def test_the_same_pictures_are_seen_through_another_preprocessing(tmp_path: Path):
    classes_of(tmp_path, "ant", "cat")
    items = open_dataset(str(tmp_path), SMALL, classes=2)
    other = items.with_preprocess(replace(SMALL, offset=(-100.0,), height=4))
    (here,), (there,) = items.batches(2), other.batches(2)
    assert there.x[0].shape == (2, 4, 8, 3) and there.ids == here.ids
    assert there.x[0].max() == here.x[0].max() - 100
    assert other.fingerprint == items.fingerprint
