"""The embedded example: its data; the training is in tests/e2e."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the demo's digits come with scikit-learn")

from edgeconv.demo import _make_reproducible, write_data
from edgeconv.types import Array


def _written(folder: Path, seed: int) -> dict[str, Array]:
    (folder / "pictures").mkdir(parents=True)
    path, _ = write_data(folder, seed)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def test_no_test_picture_is_trained_or_calibrated_on(tmp_path: Path) -> None:
    arrays = _written(tmp_path, 0)
    seen = {x.tobytes() for x in np.concatenate([arrays["x_train"], arrays["x_calibration"]])}
    assert not seen & {x.tobytes() for x in arrays["x_test"]}


def test_all_digits_are_there_as_bytes_from_black_to_white(tmp_path: Path) -> None:
    arrays = _written(tmp_path, 0)
    x = np.concatenate([arrays["x_train"], arrays["x_test"]])
    assert (x.shape, x.dtype, x.min(), x.max()) == ((1797, 8, 8, 1), np.uint8, 0, 255)
    for split in ("train", "calibration", "test"):
        assert set(arrays[f"y_{split}"]) == set(range(10))
        assert len(arrays[f"x_{split}"]) == len(arrays[f"y_{split}"])


def test_a_seed_decides_the_splits(tmp_path: Path) -> None:
    first, again, other = (_written(tmp_path / str(i), seed) for i, seed in enumerate([7, 7, 8]))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["x_test"], other["x_test"])


def test_pictures_are_of_the_test_split_and_named_after_their_digit(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    path, pictures = write_data(tmp_path, 3)
    with np.load(path, allow_pickle=False) as arrays:
        answers = {
            x.tobytes(): int(y) for x, y in zip(arrays["x_test"], arrays["y_test"], strict=True)
        }
    for picture in pictures:
        with Image.open(picture) as image:
            digit = answers[np.asarray(image).tobytes()]
        assert picture.name == f"digit-{digit}.png"


def test_nothing_half_written_is_left_beside_the_data(tmp_path: Path) -> None:
    _written(tmp_path, 0)
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("dated", ["2026-01-01@00:00:00", "2031-12-31@23:59:59"])
def test_dates_and_addresses_leave_no_trace_in_a_saved_model(tmp_path: Path, dated: str) -> None:
    address = dated[3].encode() * 9
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", f'{{"keras_version": "3", "date_saved": "{dated}"}}')
        archive.writestr(
            "config.json",
            b'[{"shared_object_id": %b}, {"shared_object_id": 5}, {"shared_object_id": %b}]'
            % (address, address),
        )
    _make_reproducible(path)
    with zipfile.ZipFile(path) as archive:
        shared = archive.read("config.json")
    assert shared == b'[{"shared_object_id": 1}, {"shared_object_id": 2}, {"shared_object_id": 1}]'
    assert dated.encode() not in path.read_bytes()
