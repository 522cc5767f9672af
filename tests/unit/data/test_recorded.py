"""The pictures that a model file names: used where they are what it says, and nowhere else."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from edgeconv.data import DataRequest, Items, check, choose, remembered
from edgeconv.errors import RefusedInput, UsageError
from edgeconv.knowledge import Entry, Knowledge, Split, root_of, write
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Silent
from edgeconv.types import SourceModel
from tests.bundles import source
from tests.unit.test_knowledge import saved

SMALL = Preprocess(height=8, width=8)
COUNTS = {"train": 40, "validation": 5, "test": 10}
WHERE, INSTEAD = "Look elsewhere", "take others"


class Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def picture(path: Path, number: int) -> Entry:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9), (number % 251, number // 251, 7)).save(path)
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return Entry(f"{path.parent.name}/{path.name}", content, number % 2)


def trained(folder: Path, counts: dict[str, int] = COUNTS, test_root: str = "flowers") -> Path:
    """A model file beside the folder of pictures that it was trained from."""
    splits, number = {}, 0
    model = saved(folder / "model.keras")
    for name, count in counts.items():
        root = folder / (test_root if name == "test" else "flowers")
        entries = []
        for _ in range(count):
            entries.append(picture(root / ("daisy", "雏菊")[number % 2] / f"{number}.png", number))
            number += 1
        splits[name] = Split(root_of(model, root), tuple(entries))
    write(model, Knowledge(SMALL, ("daisy", "雏菊"), splits))
    return model


def model_source() -> SourceModel:
    plain = source()
    outputs = (replace(plain.outputs[0], shape=(None, 2)),)
    return replace(plain, preprocess=SMALL, labels=("daisy", "雏菊"), outputs=outputs)


def chosen(
    model: Path, *, calibrates: bool = True, notes: Silent | None = None, **given: object
) -> tuple[Items | None, Items]:
    request = remembered(DataRequest(**given), str(model), WHERE, INSTEAD)  # type: ignore[arg-type]
    check(request, calibrates=calibrates)
    return choose(request, model_source(), calibrates, notes or Silent())


def test_what_trained_the_model_calibrates_and_what_it_never_saw_judges(tmp_path: Path) -> None:
    notes = Notes()
    calibration, parity = chosen(trained(tmp_path), notes=notes)

    assert calibration is not None
    assert (len(calibration), len(parity)) == (40, 10)
    assert parity.ids[:2] == ("雏菊/45.png", "daisy/46.png")
    assert parity.labels is not None and parity.labels.tolist()[:2] == [1, 0]
    assert next(iter(parity.batches(4))).x[0].shape == (4, 8, 8, 3)
    assert "training never saw" in notes.texts[0] and "calibrated on 40" in notes.texts[1]


def test_where_nothing_calibrates_only_the_test_split_is_asked_for(tmp_path: Path) -> None:
    model = trained(tmp_path)
    for file in (tmp_path / "flowers/daisy/0.png", tmp_path / "flowers/daisy/2.png"):
        file.unlink()
    calibration, parity = chosen(model, calibrates=False)

    assert calibration is None and len(parity) == 10


def test_inputs_may_be_synthesised_and_judged_on_the_test_split(tmp_path: Path) -> None:
    calibration, parity = chosen(trained(tmp_path), calibration="none")
    assert calibration is None and parity.name == "test split of model.keras"


def test_a_model_without_test_pictures_is_judged_on_what_stopped_its_training(
    tmp_path: Path,
) -> None:
    notes = Notes()
    _, parity = chosen(trained(tmp_path, {"train": 40, "validation": 5}), notes=notes)
    assert len(parity) == 5 and "stopped the training" in notes.texts[0]


def test_a_model_that_left_nothing_out_asks_for_parity(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="training left out") as caught:
        chosen(trained(tmp_path, {"train": 40}))
    assert "--parity" in caught.value.hint


def test_of_very_many_pictures_an_even_part_calibrates(tmp_path: Path) -> None:
    calibration, _ = chosen(trained(tmp_path, {"train": 1300, "test": 3}))
    assert calibration is not None and len(calibration) == 1000
    assert calibration.ids[0] == "daisy/0.png" and calibration.ids[-1] == "daisy/1298.png"


@pytest.mark.parametrize("count", [1, 10])
def test_missing_pictures_are_counted_and_one_is_named(tmp_path: Path, count: int) -> None:
    model = trained(tmp_path)
    for number in range(45, 45 + count):
        (tmp_path / "flowers" / ("daisy", "雏菊")[number % 2] / f"{number}.png").unlink()
    with pytest.raises(UsageError) as caught:
        chosen(model)

    assert caught.value.message.startswith(f"{count} of the 10 pictures that model.keras names")
    assert "missing from" in caught.value.message and "雏菊/45.png" in caught.value.message
    assert caught.value.hint == "Look elsewhere; else take others."


def test_a_changed_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    model = trained(tmp_path)
    (tmp_path / "flowers/daisy/0.png").write_bytes(b"another, and no picture at all")
    with pytest.raises(RefusedInput, match=r"1 of the 40 .* no longer what they were in") as caught:
        chosen(model)
    assert caught.value.hint == "Restore them, or take others."


def test_who_said_where_the_folder_lies_is_not_asked_again(tmp_path: Path) -> None:
    model = trained(tmp_path)
    (tmp_path / "flowers/daisy/0.png").unlink()
    with pytest.raises(UsageError, match=r"1 of the 40 .* missing from") as caught:
        chosen(model, moved=tmp_path / "flowers")
    assert caught.value.hint == "Restore them, or take others."


def test_a_moved_folder_is_found_where_the_user_says(tmp_path: Path) -> None:
    model = trained(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "flowers").rename(tmp_path / "elsewhere" / "blumen")
    with pytest.raises(UsageError, match="10 of the 10"):
        chosen(model)
    calibration, parity = chosen(model, moved=moved)
    assert calibration is not None and (len(calibration), len(parity)) == (40, 10)


def test_a_model_that_moves_together_with_its_pictures_needs_no_word(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    trained(tmp_path / "here")
    there = (tmp_path / "here").rename(tmp_path / "there")
    _, parity = chosen(there / "model.keras")
    assert len(parity) == 10


@pytest.mark.parametrize("moves", ["training", "both"])
def test_a_test_set_of_its_own_is_found_moved_or_not(tmp_path: Path, moves: str) -> None:
    model = trained(tmp_path, test_root="examination")
    new = tmp_path / "new"
    new.mkdir()
    (tmp_path / "flowers").rename(new / "flowers")
    if moves == "both":
        (tmp_path / "examination").rename(new / "examination")
    calibration, parity = chosen(model, moved=new)
    assert calibration is not None and (len(calibration), len(parity)) == (40, 10)


def test_a_folder_with_a_split_behind_it_means_the_recorded_split(tmp_path: Path) -> None:
    model = trained(tmp_path)
    moved = (tmp_path / "flowers").rename(tmp_path / "blumen")
    _, parity = chosen(model, calibrates=False, parity=f"{moved}:validation")
    assert parity.name == "validation split of model.keras" and len(parity) == 5

    picture(moved / "test" / "daisy" / "1.png", 9999)
    _, parity = chosen(model, calibrates=False, parity=f"{moved}:test")
    assert parity.ids == ("daisy/1.png",), "a folder of that name comes first"


def test_other_pictures_that_the_user_names_come_first(tmp_path: Path) -> None:
    model = trained(tmp_path)
    for number in range(6):
        picture(tmp_path / "mine" / ("daisy", "雏菊")[number % 2] / f"{number}.png", 2000 + number)
    mine = str(tmp_path / "mine")
    calibration, parity = chosen(model, parity=mine)
    assert calibration is not None and (len(calibration), len(parity)) == (40, 6)
    calibration, parity = chosen(model, calibration=mine)
    assert calibration is not None and (len(calibration), len(parity)) == (6, 10)


def test_calibrating_on_test_pictures_is_refused(tmp_path: Path) -> None:
    model = trained(tmp_path)
    with pytest.raises(RefusedInput, match="10 items stand in both") as caught:
        chosen(model, calibration=str(tmp_path / "flowers"))
    assert "FOLDER:test" in caught.value.hint


def test_judging_on_training_pictures_is_told(tmp_path: Path) -> None:
    model, notes = trained(tmp_path), Notes()
    chosen(model, calibrates=False, parity=str(tmp_path / "flowers"), notes=notes)
    assert notes.texts[0].startswith("40 of the 55 items")
    with pytest.raises(RefusedInput, match="40 items stand in both"):
        chosen(model, parity=str(tmp_path / "flowers"))


def test_a_place_is_of_no_use_where_the_model_names_no_pictures(tmp_path: Path) -> None:
    request = DataRequest(moved=tmp_path)
    with pytest.raises(UsageError, match="names no pictures"):
        check(remembered(request, str(saved(tmp_path / "plain.keras")), WHERE, INSTEAD))
    with pytest.raises(UsageError, match="no folder"):
        check(replace(request, moved=tmp_path / "nowhere"))


def renamed(model: Path, file: str, sha256: str) -> None:
    """Have the record name one test picture, somewhere."""
    entry = Entry(file, sha256, 0)
    write(model, Knowledge(SMALL, ("daisy", "雏菊"), {"test": Split("flowers", (entry,))}))


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    model = trained(tmp_path)
    outside = picture(tmp_path / "private" / "secret.png", 4242)
    (tmp_path / "flowers/daisy/link.png").symlink_to(tmp_path / "private/secret.png")
    (tmp_path / "flowers/out").symlink_to(tmp_path / "private")
    for file in ("daisy/link.png", "out/secret.png"):
        renamed(model, file, outside.sha256)
        with pytest.raises(UsageError, match="missing from"):
            chosen(model, calibrates=False)


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    model = trained(tmp_path)
    inside = picture(tmp_path / "flowers" / "daisy" / "real.png", 4242)
    (tmp_path / "flowers/daisy/link.png").symlink_to("real.png")
    renamed(model, "daisy/link.png", inside.sha256)
    assert len(chosen(model, calibrates=False)[1]) == 1


@pytest.mark.parametrize("kind", ["pipe", "loop", "folder", "large", "disguised"])
def test_what_is_no_plain_picture_file_is_never_opened(tmp_path: Path, kind: str) -> None:
    model, place = trained(tmp_path), tmp_path / "flowers/daisy/odd.png"
    if kind == "pipe":
        os.mkfifo(place)  # reading it would wait for ever
    elif kind == "loop":
        place.symlink_to(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "large":
        with place.open("wb") as file:
            file.truncate(1 << 40)
    else:  # a link that is called like a picture, to what isn't
        (tmp_path / "flowers/daisy/notes").write_text("secret")
        place.symlink_to("notes")
    renamed(model, "daisy/odd.png", hashlib.sha256(b"secret").hexdigest())
    with pytest.raises(UsageError, match="missing from"):
        chosen(model, calibrates=False)


def test_a_file_that_is_called_unlike_a_picture_is_refused(tmp_path: Path) -> None:
    model = trained(tmp_path)
    (tmp_path / "flowers/daisy/id_rsa").write_text("secret")
    renamed(model, "daisy/id_rsa", hashlib.sha256(b"secret").hexdigest())
    with pytest.raises(RefusedInput, match="no picture"):
        chosen(model, calibrates=False)
