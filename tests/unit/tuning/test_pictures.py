"""Folders of pictures, as people have them: unbalanced, with copies, in Chinese."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeconv.data import read_folder
from edgeconv.errors import HostFailure, RefusedInput, UsageError
from edgeconv.preprocess import Preprocess
from edgeconv.tuning.pictures import gather
from edgeconv.tuning.pixels import store_pixels

PREPROCESS = Preprocess(height=8, width=8, crop_fraction=1.0, scale=(1 / 127.5,), offset=(-1.0,))


class Notes:
    """A Progress that keeps what a person should read."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def stage(self, title: str, total: int | None = None) -> None: ...

    def advance(self, steps: int = 1) -> None: ...

    def note(self, text: str) -> None:
        self.texts.append(text)


def fill(folder: Path, count: int, seed: int) -> Path:
    """``count`` different pictures in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = rng.integers(0, 256, (12, 10, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """Two classes of ten pictures."""
    fill(tmp_path / "flowers" / "daisy", 10, 1)
    fill(tmp_path / "flowers" / "玫瑰", 10, 2)
    return tmp_path / "flowers"


def test_labels_are_the_folders_names_and_all_pictures_have_a_side(flowers: Path) -> None:
    found = gather(flowers, None, PREPROCESS, 0, Notes())
    assert found.labels == ("daisy", "玫瑰")
    assert found.counts() == {"train": 12, "validation": 4, "test": 4}
    files = {member.file for members in found.splits.values() for member in members}
    assert files == {path.relative_to(flowers).as_posix() for path in flowers.rglob("*.png")}


def test_numbered_folders_keep_their_names(tmp_path: Path) -> None:
    for name in ("2", "10"):
        fill(tmp_path / name, 3, int(name))
    assert gather(tmp_path, None, PREPROCESS, 0, Notes()).labels == ("10", "2")


def test_a_test_folder_of_ones_own_is_used_whole(flowers: Path, tmp_path: Path) -> None:
    fill(tmp_path / "test" / "daisy", 3, 8)
    fill(tmp_path / "test" / "玫瑰", 2, 9)
    found = gather(flowers, tmp_path / "test", PREPROCESS, 0, Notes())
    assert found.counts() == {"train": 16, "validation": 4, "test": 5}
    assert found.places("test") == [20, 21, 22, 23, 24]
    assert [member.class_index for member in found.splits["test"]] == [0, 0, 0, 1, 1]


def test_stored_pixels_are_what_the_device_computes_from(flowers: Path, tmp_path: Path) -> None:
    found = gather(flowers, None, PREPROCESS, 0, Notes())
    store_pixels(found, tmp_path / "pixels.npy", Notes())
    pixels = np.load(tmp_path / "pixels.npy")
    assert pixels.dtype == np.uint8 and pixels.shape == (20, 8, 8, 3)
    items = read_folder(flowers, PREPROCESS, labels=found.labels)
    expected = np.concatenate([batch.x[0] for batch in items.batches(7)])
    np.testing.assert_allclose(pixels / 127.5 - 1, expected, atol=1e-6)


def test_what_is_unusual_is_said(flowers: Path) -> None:
    (flowers / "daisy" / "copy.png").write_bytes((flowers / "daisy" / "003.png").read_bytes())
    (flowers / "daisy" / "notes.txt").write_text("found in May")
    fill(flowers / "tulip", 1, 3)
    fill(flowers / "lily", 2, 4)
    notes = Notes()
    found = gather(flowers, None, PREPROCESS, 0, notes)
    said = "\n".join(notes.texts)
    assert "daisy/notes.txt is no picture and was ignored" in said
    assert "only one picture of tulip" in said and "only two pictures of lily" in said
    assert "1 pictures are copies" not in said and "1 picture is a copy" in said
    assert "1 to 11 pictures" in said
    sides = {m.file: name for name, members in found.splits.items() for m in members}
    assert sides["daisy/copy.png"] == sides["daisy/003.png"]
    assert sides["tulip/000.png"] == "train"


def test_a_picture_in_two_classes_is_refused(flowers: Path) -> None:
    (flowers / "玫瑰" / "x.png").write_bytes((flowers / "daisy" / "003.png").read_bytes())
    with pytest.raises(RefusedInput, match=r"daisy/003\.png and 玫瑰/x\.png are the same picture"):
        gather(flowers, None, PREPROCESS, 0, Notes())


def test_a_test_picture_that_is_in_the_data_is_refused(flowers: Path, tmp_path: Path) -> None:
    fill(tmp_path / "test" / "daisy", 1, 1)  # daisy/000.png again
    fill(tmp_path / "test" / "玫瑰", 1, 9)
    with pytest.raises(RefusedInput, match=r"daisy/000\.png") as caught:
        gather(flowers, tmp_path / "test", PREPROCESS, 0, Notes())
    assert "trained" in caught.value.hint


def test_a_test_class_that_is_not_learnt_is_refused(flowers: Path, tmp_path: Path) -> None:
    fill(tmp_path / "test" / "daisy", 2, 8)
    fill(tmp_path / "test" / "rose", 2, 9)
    with pytest.raises(RefusedInput, match="'rose'"):
        gather(flowers, tmp_path / "test", PREPROCESS, 0, Notes())


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda root: None, UsageError, "does not exist"),
        (lambda root: root.write_text(""), UsageError, "is no folder"),
        (lambda root: root.mkdir(), RefusedInput, "no class folder"),
        (lambda root: fill(root, 3, 1), RefusedInput, "no class folder"),
        (lambda root: fill(root / "cat", 3, 1), RefusedInput, "one class folder, cat"),
        (
            lambda root: (fill(root / "cat", 3, 1), (root / "dog").mkdir()),
            RefusedInput,
            "dog has no picture",
        ),
        (
            lambda root: (fill(root / "cat", 1, 1), fill(root / "dog", 1, 2)),
            RefusedInput,
            "one picture of each class",
        ),
        (
            lambda root: (fill(root / "cat", 3, 1), fill(root / "dog", 3, 2), fill(root, 1, 3)),
            RefusedInput,
            "beside its class folders",
        ),
    ],
)
def test_folders_that_nothing_can_be_learnt_from(tmp_path: Path, make, error, says: str) -> None:
    make(tmp_path / "data")
    with pytest.raises(error, match=says):
        gather(tmp_path / "data", None, PREPROCESS, 0, Notes())


def test_the_folder_above_is_told_from_the_one_that_was_meant(tmp_path: Path) -> None:
    for split in ("test", "train"):
        for name in ("cat", "dog"):
            fill(tmp_path / split / name, 2, len(split + name))
    with pytest.raises(RefusedInput) as caught:
        gather(tmp_path, None, PREPROCESS, 0, Notes())
    assert str(tmp_path / "train") in caught.value.hint


def test_a_link_to_a_picture_of_its_class_is_a_copy_under_its_own_name(flowers: Path) -> None:
    (flowers / "daisy" / "zz.png").symlink_to("000.png")
    notes = Notes()
    found = gather(flowers, None, PREPROCESS, 0, notes)
    sides = {m.file: name for name, members in found.splits.items() for m in members}
    assert len(sides) == 21 and sides["daisy/zz.png"] == sides["daisy/000.png"]
    assert any("1 picture is a copy" in text for text in notes.texts)


def test_a_link_out_of_the_folder_is_refused(flowers: Path, tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", 1, 7)
    (flowers / "daisy" / "zz.png").symlink_to(tmp_path / "elsewhere" / "000.png")
    with pytest.raises(RefusedInput, match=r"zz\.png leads out"):
        gather(flowers, None, PREPROCESS, 0, Notes())


def test_a_broken_picture_is_named_with_its_folder(flowers: Path, tmp_path: Path) -> None:
    (flowers / "daisy" / "004.png").write_bytes(b"\x89PNG no more")
    found = gather(flowers, None, PREPROCESS, 0, Notes())
    with pytest.raises(RefusedInput, match=rf"{flowers}/daisy/004\.png is not a picture"):
        store_pixels(found, tmp_path / "pixels.npy", Notes())
    assert not list(tmp_path.glob("*pixels*"))


def test_all_broken_pictures_are_told_at_once(flowers: Path, tmp_path: Path) -> None:
    fill(tmp_path / "test" / "daisy", 2, 8)
    fill(tmp_path / "test" / "玫瑰", 2, 9)
    for number in (3, 4, 5):
        (flowers / "daisy" / f"00{number}.png").write_bytes(b"no picture %d" % number)
    (tmp_path / "test" / "daisy" / "001.png").write_bytes(b"no picture")
    found = gather(flowers, tmp_path / "test", PREPROCESS, 0, Notes())
    with pytest.raises(RefusedInput, match=r"4 of 24 pictures are broken") as caught:
        store_pixels(found, tmp_path / "pixels.npy", Notes())
    assert f"{flowers}/daisy/003.png" in caught.value.message
    assert "and 1 more pictures" in caught.value.message


def test_what_is_written_beside_the_pixels_needs_room_too(flowers: Path, tmp_path: Path) -> None:
    found = gather(flowers, None, PREPROCESS, 0, Notes())
    with pytest.raises(HostFailure, match=r"20 pictures takes about 1000000000\.0 GB"):
        store_pixels(found, tmp_path / "pixels.npy", Notes(), beside=10**18)
    assert not list(tmp_path.glob("*pixels*"))


def test_whoever_has_the_old_pixels_mapped_keeps_them(flowers: Path, tmp_path: Path) -> None:
    path = tmp_path / "pixels.npy"
    np.save(path, np.full((500, 8, 8, 3), 7, np.uint8))
    before = np.load(path, mmap_mode="r")
    store_pixels(gather(flowers, None, PREPROCESS, 0, Notes()), path, Notes())
    assert (before == 7).all() and np.load(path).shape == (20, 8, 8, 3)
