"""CSV manifests."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeconv.data import open_dataset, refuse_overlap
from edgeconv.errors import RefusedInput, Unsupported, UsageError
from edgeconv.preprocess import Preprocess

SMALL = Preprocess(height=8, width=8, resize="stretch")
LABELS = ("ant", "bee", "cat, wild")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        Image.new("RGB", (9, 9), (number, 0, 0)).save(tmp_path / f"{number}.png")
    return tmp_path


def manifest(folder: Path, text: str, encoding: str = "utf-8") -> str:
    path = folder / "manifest.csv"
    path.write_text(text, encoding=encoding)
    return str(path)


def test_class_indices_and_splits_are_read(folder: Path):
    spec = manifest(folder, "file,class_index,split\n0.png,2,a\n1.png,0,b\n2.png,1,a\n")
    whole = open_dataset(spec, SMALL, classes=3)
    assert whole.labels.tolist() == [2, 0, 1] and len(whole) == 3
    part = open_dataset(f"{spec}:a", SMALL, classes=3)
    assert part.ids == ("0.png", "2.png") and part.name == f"{spec}:a"
    (batch,) = part.batches(5)
    assert batch.x[0][:, 0, 0, 0].tolist() == [0, 2] and batch.y.tolist() == [2, 1]
    assert batch.y.dtype == np.int64


def test_labels_are_read_by_name(folder: Path):
    spec = manifest(folder, 'file,label\n0.png,bee\n1.png,"cat, wild"\n')
    assert open_dataset(spec, SMALL, labels=LABELS).labels.tolist() == [1, 2]


def test_class_index_wins_over_label(folder: Path):
    spec = manifest(folder, "file,label,class_index\n0.png,whatever,2\n")
    assert open_dataset(spec, SMALL, labels=LABELS).labels.tolist() == [2]


def test_without_either_column_there_are_no_labels(folder: Path):
    items = open_dataset(manifest(folder, "file\n1.png\n"), SMALL, labels=LABELS)
    assert not items.labelled and next(items.batches(1)).y is None


def test_a_byte_order_mark_and_windows_line_ends_are_read(folder: Path):
    spec = manifest(folder, "file, class_index\r\n0.png,1\r\n\r\n", "utf-8-sig")
    assert open_dataset(spec, SMALL, classes=3).labels.tolist() == [1]


def test_a_manifest_without_a_file_column_is_refused(folder: Path):
    for text in ("path,class_index\n0.png,1\n", "", "\n"):
        with pytest.raises(RefusedInput, match="no column 'file'"):
            open_dataset(manifest(folder, text), SMALL)


def test_a_manifest_without_rows_is_refused(folder: Path):
    with pytest.raises(RefusedInput, match="no rows"):
        open_dataset(manifest(folder, "file,class_index\n"), SMALL)


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ("none.png,0", "no file none.png"),
        (",0", "no file inside"),
        ("0.png,one", "'one' is not an integer"),
        ("0.png,1.0", "'1.0' is not an integer"),
        ("0.png,", "'' is not an integer"),
        ("0.png,1_0", "not an integer"),
        ("0.png,٣", "not an integer"),
        ("0.png,-1", "class_index is -1"),
        ("0.png,3", "class_index is 3"),
        ("0.png,99999999999999999999", "not an integer"),
        ("0.png", "1 fields"),
        ("0.png,1,2", "3 fields"),
    ],
)
def test_a_wrong_row_is_refused_with_its_number(folder: Path, row: str, cause: str):
    spec = manifest(folder, f"file,class_index\n1.png,0\n{row}\n2.png,1\n")
    with pytest.raises(RefusedInput, match="row 3") as refused:
        open_dataset(spec, SMALL, classes=3)
    assert cause in refused.value.message


def test_a_label_that_the_model_lacks_is_refused_with_its_row(folder: Path):
    spec = manifest(folder, "file,label\n0.png,bee\n1.png,wasp\n")
    with pytest.raises(RefusedInput, match="row 3: label 'wasp' is none of the model's labels"):
        open_dataset(spec, SMALL, labels=LABELS)


def test_a_label_of_two_classes_is_refused(folder: Path):
    spec = manifest(folder, "file,label\n0.png,crane\n")
    with pytest.raises(RefusedInput, match="two classes"):
        open_dataset(spec, SMALL, labels=("crane", "crane"))


def test_labels_as_text_need_a_model_with_labels(folder: Path):
    with pytest.raises(UsageError, match="labels") as refused:
        open_dataset(manifest(folder, "file,label\n0.png,bee\n"), SMALL, classes=3)
    assert "--labels" in refused.value.hint


def test_an_unknown_split_is_refused_with_those_there_are(folder: Path):
    spec = manifest(folder, "file,split\n0.png,train\n1.png,test\n")
    with pytest.raises(UsageError) as refused:
        open_dataset(f"{spec}:val", SMALL)
    assert "test, train" in refused.value.hint
    with pytest.raises(UsageError, match="no column 'split'"):
        open_dataset(manifest(folder, "file\n0.png\n") + ":val", SMALL)


def test_a_manifest_that_is_no_text_is_refused(folder: Path):
    with pytest.raises(RefusedInput, match="UTF-8"):
        open_dataset(manifest(folder, "file\nä.png\n", "latin-1"), SMALL)
    with pytest.raises(RefusedInput, match="line 2 is no CSV"):
        open_dataset(manifest(folder, 'file\n"0.png\n'), SMALL)


def test_a_path_with_a_colon_that_exists_wins_over_a_split(folder: Path):
    path = folder / "odd:name.csv"
    path.write_text("file\n0.png\n", encoding="utf-8")
    assert len(open_dataset(str(path), SMALL)) == 1


@pytest.mark.parametrize("spec", ["", ":", "none.csv", "none.csv:train", "a\0b", "x" * 5000])
def test_data_that_do_not_exist_are_refused(spec: str):
    with pytest.raises(UsageError, match="There is no data"):
        open_dataset(spec, SMALL)


def test_a_file_of_another_kind_is_refused(folder: Path):
    (folder / "data.parquet").write_text("x")
    with pytest.raises(UsageError, match="is no data set"):
        open_dataset(str(folder / "data.parquet"), SMALL)


def test_pictures_for_a_model_of_arrays_or_of_several_inputs_are_refused(folder: Path):
    spec = manifest(folder, "file\n0.png\n")
    with pytest.raises(UsageError, match="takes arrays"):
        open_dataset(spec, Preprocess(kind="array"))
    with pytest.raises(Unsupported, match="2 inputs"):
        open_dataset(spec, SMALL, input_shapes=((1, 8, 8, 3), (1, 8, 8, 3)))


def test_the_real_sample_has_250_pictures_a_side_and_is_cropped_exactly(shared_data: Path):
    spec = str(shared_data / "imagenet-sample" / "manifest.csv")
    preprocess = Preprocess(height=224, width=224)
    sides = [
        open_dataset(f"{spec}:{name}", preprocess, classes=1000)
        for name in ("calibration", "evaluation")
    ]
    assert [len(side) for side in sides] == [250, 250]
    assert [side.labels[:3].tolist() for side in sides] == [[0, 4, 8], [2, 6, 10]]
    refuse_overlap(*sides)
    with Image.open(shared_data / "imagenet-sample" / sides[0].ids[0]) as image:
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        wanted = np.asarray(image.convert("RGB"))[top : top + 224, left : left + 224]
    np.testing.assert_array_equal(next(sides[0].batches(1)).x[0][0], wanted)
