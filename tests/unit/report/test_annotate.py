"""The picture that edgeconv classify draws."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeconv.errors import EdgeconvError
from edgeconv.report.annotate import annotated

ROWS = [("tench", 0.75, "75.00 %"), ("a very long name of a class " * 4, 0.25, "25.00 %")]


def drawn(path: Path, rows: list[tuple[str, float | None, str]]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(annotated(path, rows))))


@pytest.mark.parametrize("size", [(640, 400), (40, 30), (1, 1), (4000, 20)])
def test_the_picture_stays_and_a_line_a_class_is_below(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = tmp_path / "p.png"
    Image.new("RGB", size, (200, 20, 20)).save(path)
    page = drawn(path, ROWS)
    assert 320 <= page.shape[1] <= 1600
    assert (page[0] == (200, 20, 20)).all()
    assert (page[-1] != (200, 20, 20)).any()


def test_the_bars_are_as_long_as_the_probabilities(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    Image.new("RGB", (400, 100)).save(path)
    bar = (drawn(path, [("a", 0.75, ""), ("b", 0.25, "")]) == (64, 138, 214)).all(axis=2)
    lengths = sorted({int(row.sum()) for row in bar})
    assert 290 <= lengths[-1] <= 300 and any(95 <= length <= 101 for length in lengths)


def test_scores_without_probability_have_no_bar(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    Image.new("RGB", (400, 100)).save(path)
    assert not (drawn(path, [("a", None, "12.3")]) == (64, 138, 214)).all(axis=2).any()


def test_a_broken_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(b"\x89PNG no more")
    with pytest.raises(EdgeconvError):
        annotated(path, [])


def test_letters_of_any_script_are_drawn_and_never_as_boxes(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    Image.new("RGB", (640, 100)).save(path)
    # Plane 15 is for private use: no font draws it, and both would be the same box.
    names = ("роза", "тюльпан", "\U000f1234", "\U000f4321")
    pages = {name: drawn(path, [(name, None, "")]).tobytes() for name in names}
    assert len(set(pages.values())) == len(names), "two names look the same"
