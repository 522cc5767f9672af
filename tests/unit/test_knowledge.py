"""What a model file knows of itself: written, read back, the same bytes every time."""

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from edgeconv.errors import RefusedInput, Unsupported
from edgeconv.knowledge import Entry, Knowledge, Split, read, root_of, write
from edgeconv.load.guard import check_source
from edgeconv.preprocess import Preprocess

CONFIG = (
    '{"class_name": "Functional", "module": "keras", "config": {"layers": ['
    '{"class_name": "ReLU", "module": "keras.layers", "config": {}, "shared_object_id": %d},'
    '{"class_name": "ReLU", "module": "keras.layers", "config": {}, "shared_object_id": %d}]}}'
)

KNOWN = Knowledge(
    preprocess=Preprocess(height=32, width=32, scale=(1 / 127.5,), offset=(-1.0,)),
    labels=("daisy", "雏菊", "sun flower"),
    splits={
        "train": Split("../flowers", (Entry("daisy/1.jpg", "0" * 64, 0),)),
        "test": Split(".", (Entry("雏菊/b\\c.jpg", "af" * 32, 1), Entry("x.png", "1" * 64, 2))),
    },
    provenance={"base": "mobilenetv2", "seed": 3, "test_accuracy": 71.5, "warnings": ["one"]},
)


def saved(path: Path, date: str = "2026-01-01@00:00:00", address: int = 140406707662608) -> Path:
    """What Keras would have saved on a date, its objects at some address."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3", "date_saved": date}))
        archive.writestr("config.json", CONFIG % (address, address))
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(3_000_000))
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.keras")
    write(path, KNOWN)

    assert read(path) == KNOWN
    assert check_source(path) == "keras"
    with zipfile.ZipFile(path) as archive:
        assert len(archive.read("model.weights.h5")) == 3_000_008
        assert json.loads(archive.read("metadata.json")) == {"keras_version": "3"}


def test_the_second_record_replaces_the_first(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.keras")
    write(path, KNOWN)
    write(path, replace(KNOWN, labels=("a", "b", "c")))

    found = read(path)
    assert found is not None and found.labels == ("a", "b", "c")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist().count("edgeconv.json") == 1


def test_the_same_model_saved_another_day_gives_the_same_bytes(tmp_path: Path) -> None:
    first = saved(tmp_path / "a.keras")
    second = saved(tmp_path / "b.keras", "2031-12-24@18:00:00", 99)
    write(first, KNOWN)
    write(second, replace(KNOWN, splits=dict(reversed(KNOWN.splits.items()))))

    assert first.read_bytes() == second.read_bytes()


def test_writing_keeps_the_mode_and_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.keras")
    path.chmod(0o640)
    write(path, KNOWN)

    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["model.keras"]


def test_writing_into_what_is_no_archive_leaves_it_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"PK and then nothing")
    with pytest.raises(RefusedInput, match="archive"):
        write(path, KNOWN)

    assert path.read_bytes() == b"PK and then nothing"
    assert len(list(tmp_path.iterdir())) == 1


def test_other_files_say_nothing_of_themselves(tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_text("hello")
    assert read(tmp_path / "text.keras") is None
    assert read(tmp_path / "absent.keras") is None
    assert read(tmp_path) is None
    assert read(saved(tmp_path / "plain.keras")) is None


def test_a_folder_is_named_from_where_the_model_lies(tmp_path: Path) -> None:
    (tmp_path / "data" / "flowers").mkdir(parents=True)
    (tmp_path / "models").mkdir()
    here = os.path.relpath(tmp_path, Path.cwd())

    assert root_of(tmp_path / "models" / "m.keras", tmp_path / "data/flowers") == "../data/flowers"
    assert root_of(Path(here, "m.keras"), Path(here, "data")) == "data"
    assert root_of(tmp_path / "data" / "m.keras", tmp_path / "data") == "."


def test_a_record_of_a_later_version_asks_for_an_update(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("edgeconv.json", '{"schema_version": 2}')
    with pytest.raises(Unsupported, match="newer than 1"):
        read(path)


def test_nothing_is_written_that_would_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(RefusedInput, match="no class name"):
        replace(KNOWN, labels=("one\nline", "b", "c"))
    with pytest.raises(RefusedInput, match="leads out of its folder"):
        replace(KNOWN, splits={"train": Split(".", (Entry("../x.jpg", "0" * 64, 0),))})
