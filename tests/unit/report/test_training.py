"""What a training leaves for people: right tables, and pictures that are the same each time."""

import csv
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgeconv.errors import HostFailure
from edgeconv.history import Epoch, TestResult
from edgeconv.report.training import write_training
from edgeconv.report.training.scores import scores_of, scores_text

NAMES = ("cat", "雏菊", "rose $x$", 'a, "b"', "тюльпан")


def epochs(head: int = 3, fine: int = 4) -> list[Epoch]:
    numbers = range(1, head + fine + 1)
    return [
        Epoch(
            phase="head" if n <= head else "fine",
            epoch=n,
            learning_rate=1e-3 if n <= head else 1e-4,
            train_loss=2.0 / n,
            train_accuracy=1 - 1 / (n + 1),
            validation_loss=2.2 / n,
            validation_accuracy=1 - 1.2 / (n + 1),
            seconds=1.25,
        )
        for n in numbers
    ]


def answers(labels: tuple[str, ...], count: int = 200) -> TestResult:
    rng = np.random.default_rng(0)
    true = rng.integers(0, len(labels), count)
    other = rng.integers(0, len(labels), count)
    predicted = np.where(rng.random(count) < 0.7, true, other)
    return TestResult(
        labels, tuple(true.tolist()), tuple(predicted.tolist()), tuple(map(str, range(count)))
    )


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text("utf-8-sig"))))


def test_all_is_written_and_the_same_the_second_time(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        write_training(folder, epochs(), answers(NAMES), NAMES)
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})

    assert contents[0] == contents[1]
    assert set(contents[0]) == {
        *("curves.png", "history.csv", "confusion.png", "confusion.csv"),
        *("report.txt", "report.json"),
    }


def test_pictures_say_nothing_of_when_and_by_what_they_were_drawn(tmp_path: Path) -> None:
    write_training(tmp_path, epochs(), answers(NAMES), NAMES)
    for name in ("curves.png", "confusion.png"):
        with Image.open(tmp_path / name) as image:
            assert set(image.info) <= {"dpi"}, f"{name}: {image.info}"


def test_a_matplotlibrc_of_the_user_changes_nothing(tmp_path: Path) -> None:
    write_training(tmp_path, epochs(), answers(NAMES), NAMES)
    plain = {name: (tmp_path / name).read_bytes() for name in ("curves.png", "confusion.png")}
    (tmp_path / "matplotlibrc").write_text(
        "figure.dpi: 30\nlines.linewidth: 9\ntext.usetex: True\n"
    )
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from tests.unit.report.test_training import *\n"
        "write_training(Path('.'), epochs(), answers(NAMES), NAMES)"
    )
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", script, root], cwd=tmp_path, check=True)
    assert plain == {name: (tmp_path / name).read_bytes() for name in plain}


def test_the_history_holds_every_epoch_in_percent(tmp_path: Path) -> None:
    write_training(tmp_path, epochs(), None, NAMES)
    head, *body = rows(tmp_path / "history.csv")

    assert len(body) == 7
    row = dict(zip(head, body[3], strict=True))
    assert (row["phase"], row["epoch"], row["learning_rate"]) == ("fine", "4", "0.0001")
    assert float(row["train_accuracy_percent"]) == pytest.approx(80)
    assert float(row["validation_loss"]) == pytest.approx(0.55)


def test_without_a_test_split_there_is_no_score(tmp_path: Path) -> None:
    write_training(tmp_path, epochs(), None, NAMES)
    assert {path.name for path in tmp_path.iterdir()} == {"curves.png", "history.csv"}


def test_without_validation_its_columns_are_empty(tmp_path: Path) -> None:
    nothing = Epoch("fine", 1, 1e-3, 2.0, 0.5, math.nan, math.nan, 1.0)
    write_training(tmp_path, [nothing], None, NAMES)
    head, row = rows(tmp_path / "history.csv")
    assert dict(zip(head, row, strict=True))["validation_loss"] == ""
    with Image.open(tmp_path / "curves.png") as image:
        assert image.width > 800


def test_the_confusion_matrix_counts_every_answer(tmp_path: Path) -> None:
    test = answers(NAMES)
    write_training(tmp_path, epochs(), test, NAMES)
    head, *body = rows(tmp_path / "confusion.csv")
    counts = np.array([[int(cell) for cell in row[1:]] for row in body])

    assert tuple(head[1:]) == NAMES and tuple(row[0] for row in body) == NAMES
    assert counts.sum() == 200
    pairs = zip(test.true, test.predicted, strict=True)
    assert counts[1, 2] == sum(pair == (1, 2) for pair in pairs)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_scores_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    true, predicted = zip(*pairs, strict=True)
    scores = scores_of(TestResult(NAMES[:4], true, predicted, ("",) * len(true)), NAMES[:4])
    theirs = precision_recall_fscore_support(true, predicted, labels=range(4), zero_division=np.nan)
    for at, each in enumerate(scores.classes):
        precision, recall, f1, support = (column[at] for column in theirs)
        assert each.support == support
        assert each.precision == (None if np.isnan(precision) else pytest.approx(100 * precision))
        assert each.recall == (None if support == 0 else pytest.approx(100 * recall))
        if support:
            assert each.f1 == pytest.approx(100 * np.nan_to_num(f1))
    present = sorted(set(true))
    macro = precision_recall_fscore_support(
        true, predicted, labels=present, average="macro", zero_division=0
    )
    assert scores.macro.precision == pytest.approx(100 * macro[0])
    assert scores.macro.f1 == pytest.approx(100 * macro[2])
    assert scores.accuracy == pytest.approx(100 * accuracy_score(true, predicted))


def test_what_there_is_no_figure_for_is_null_and_a_dash(tmp_path: Path) -> None:
    test = TestResult(("a", "b", "c"), (0, 0, 1), (0, 0, 0), ("x", "y", "z"))
    write_training(tmp_path, epochs(), test, ("a", "b", "c"))
    document = json.loads((tmp_path / "report.json").read_text())
    a, b, c = document["classes"]

    assert (a["precision"], a["recall"]) == (pytest.approx(66.667, abs=0.01), 100.0)
    assert (b["precision"], b["recall"], b["f1"], b["support"]) == (None, 0.0, 0.0, 1)
    assert (c["recall"], c["support"]) == (None, 0)
    assert document["accuracy"] == pytest.approx(66.667, abs=0.01)
    assert document["confused"] == [{"true": "b", "predicted": "a", "times": 1}]
    assert " - " in (tmp_path / "report.txt").read_text()


def test_the_text_report_is_aligned_for_chinese_too() -> None:
    lines = scores_text(scores_of(answers(("cat", "雏菊花")), ("cat", "雏菊花"))).splitlines()
    assert lines[1].startswith("0  cat            ")
    assert lines[2].startswith("1  雏菊花         "), "three characters take six columns"


@pytest.mark.parametrize("classes", [1, 2, 30, 100, 300])
def test_a_matrix_of_any_number_of_classes_is_drawn(tmp_path: Path, classes: int) -> None:
    labels = tuple(f"a rather long name of class {number}" for number in range(classes))
    write_training(tmp_path, epochs(1, 0), answers(labels, 500), labels)
    with Image.open(tmp_path / "confusion.png") as image:
        width, height = image.size
    assert width < 3500 and height < 3500
    assert classes < 30 or width / classes > 8, "a cell is too small to see"


def test_names_whose_letters_no_font_has_become_numbers_and_others_stay(tmp_path: Path) -> None:
    # Plane 15 is for private use: no font draws it.
    drawn = []
    for name in ("\U000f1234", "\U000f4321"):
        labels = (name, "cat")
        write_training(tmp_path, epochs(), answers(labels), labels)
        drawn.append((tmp_path / "confusion.png").read_bytes())
    assert drawn[0] == drawn[1], "both are class 0"
    write_training(tmp_path, epochs(), answers(labels), (labels[0], "dog"))
    assert (tmp_path / "confusion.png").read_bytes() != drawn[0], "cat and dog are written out"


_FIND_FONT = """
import sys, warnings
from edgeconv.report.fonts import file_for, readable
from edgeconv.report.training.confusion import draw_confusion
import numpy as np
warnings.simplefilter("error")
families, lost = readable([sys.argv[1]])
assert not lost, lost
assert families == ("Only For A Test",), families
assert file_for(sys.argv[1]).endswith("Test.ttf") and file_for(sys.argv[1] + "a") is None
sys.stdout.buffer.write(draw_confusion(np.eye(2, dtype=int), (sys.argv[1], "cat")))
"""


def test_an_installed_font_that_has_the_letters_is_found_and_used(tmp_path: Path) -> None:
    letter = "\U000f1234"
    fonts = tmp_path / "fonts"
    fonts.mkdir()
    _make_font(fonts / "Test.ttf", letter)
    done = subprocess.run(
        [sys.executable, "-c", _FIND_FONT, letter],
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path)},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    with_font, without = tmp_path / "with.png", tmp_path / "without"
    with_font.write_bytes(done.stdout)
    without.mkdir()
    test = TestResult((letter, "cat"), (0, 1), (0, 1), ("", ""))
    write_training(without, epochs(), test, (letter, "cat"))
    assert with_font.read_bytes() != (without / "confusion.png").read_bytes()


def _make_font(path: Path, letter: str) -> None:
    """A font of one letter, a square."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    for place, to in ((pen.moveTo, (50, 0)), (pen.lineTo, (50, 700)), (pen.lineTo, (700, 0))):
        place(to)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(letter): "square"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (800, 0), "square": (800, 50)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Only For A Test", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


def test_a_folder_that_can_t_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostFailure, match=r"history\.csv can't be written"):
        write_training(tmp_path / "nowhere", epochs(), None, NAMES)
