"""What inspect says of bundles and of files that edgeconv never made."""

from pathlib import Path

import pytest

from edgeconv.errors import RefusedInput, UsageError
from edgeconv.knowledge import write
from edgeconv.package.describe import describe
from tests import bundles
from tests.unit.test_knowledge import KNOWN, saved


def test_a_bundle_is_described_by_its_manifest(tmp_path: Path) -> None:
    described = describe(bundles.make_bundle(tmp_path))
    assert described["kind"] == "bundle"
    assert described["name"] == "tiny"
    assert [a["file"] for a in described["artifacts"]] == ["model.tflite", "model.onnx"]
    assert described["verdict"]["status"] == "pass"
    sizes = {entry["file"]: entry["bytes"] for entry in described["files"]}
    assert sizes["model.onnx"] == len(bundles.onnx_bytes())


def test_a_foreign_tflite_file_is_read_by_its_schema(tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / "mlperf-tiny/image_classification"
    (artifact,) = describe(folder / "pretrainedResnet_quant.tflite")["artifacts"]
    assert artifact["inputs"] == [
        {
            "name": "input_1_int8",
            "shape": [1, 32, 32, 3],
            "dtype": "int8",
            "scale": 1.0,
            "zero_point": -128,
        }
    ]
    assert artifact["operators"]["CONV_2D"] == 9
    assert artifact["float_operators"] == {}
    (floating,) = describe(folder / "pretrainedResnet.tflite")["artifacts"]
    assert floating["float_operators"]["CONV_2D"] == 9


def test_a_foreign_onnx_file_is_read_by_onnx(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(bundles.onnx_bytes())
    (artifact,) = describe(path)["artifacts"]
    assert artifact["inputs"][0]["shape"] == [None, 8, 8, 3]
    assert artifact["outputs"][0]["dtype"] == "float32"
    assert artifact["operators"] == {"Flatten": 1, "MatMul": 1}


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a.tflite", b"", RefusedInput),
        ("a.tflite", b"\x1c\0\0\0TFL3" + b"\xff" * 500, RefusedInput),
        ("a.tflite", bundles.tflite_bytes()[:4000], RefusedInput),
        ("a.onnx", b"", RefusedInput),
        ("a.onnx", b"\xff" * 500, RefusedInput),
        ("a.onnx", bundles.onnx_bytes()[:4000], RefusedInput),
        ("a.txt", b"hello", UsageError),
    ],
)
def test_what_is_damaged_is_refused(
    tmp_path: Path, name: str, data: bytes, error: type[Exception]
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(error):
        describe(tmp_path / name)


def test_what_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        describe(tmp_path / "absent")
    with pytest.raises(RefusedInput, match="no bundle"):
        describe(tmp_path)


def test_a_fine_tuned_model_is_described_by_what_it_knows(tmp_path: Path) -> None:
    path = saved(tmp_path / "flowers.keras")
    with pytest.raises(UsageError, match="no bundle"):
        describe(path)
    write(path, KNOWN)

    described = describe(path)
    assert (described["kind"], described["name"]) == ("model", "flowers.keras")
    known = described["knowledge"]
    assert known["labels"] == ["daisy", "雏菊", "sun flower"]
    assert known["splits"]["test"] == {"folder": ".", "pictures": 2}
    assert known["provenance"]["base"] == "mobilenetv2"
