"""What edgeconv promises, on real models and real pictures (EDGECONV_DATA)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import edgeconv

pytestmark = pytest.mark.long

#: Model file, preprocessing, top-1 of the original on the 250 evaluation pictures, convolutions.
MODELS = [
    ("mobilenetv2_imagenet.keras", "mobilenetv2", 83.2, 52),
    ("squeezenet11_imagenet.keras", "torch", 56.0, 26),
]


def export(shared_data: Path, output: Path, *arguments: object) -> dict[str, Any]:
    manifest = shared_data / "imagenet-sample" / "manifest.csv"
    done = edgeconv(
        "export", *arguments, "--calibration", f"{manifest}:calibration",
        "--parity", f"{manifest}:evaluation", "--output", output, "--json",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(("model", "preprocess", "top1", "convolutions"), MODELS)
def test_float_is_the_original_on_every_picture(
    shared_data: Path, tmp_path: Path, model: str, preprocess: str, top1: float, convolutions: int
) -> None:
    path = shared_data / "models" / model
    result = export(shared_data, tmp_path / "b", path, "--preprocess", preprocess, "--fp32")

    artifacts = result["verdict"]["artifacts"]
    assert [a["format"] for a in artifacts] == ["tflite", "onnx"]
    for artifact in artifacts:
        assert artifact["metrics"]["top1_reference"] == pytest.approx(top1)
        assert artifact["metrics"]["agreement"] == 100.0
        # In percent of the largest logit: 1e-4 relative.
        assert artifact["metrics"]["max_relative_difference"] <= 0.01
        assert artifact["equivalent"] and artifact["status"] == "pass"


@pytest.mark.parametrize(("model", "preprocess", "top1", "convolutions"), MODELS)
def test_int8_keeps_the_accuracy_in_both_formats(
    shared_data: Path, tmp_path: Path, model: str, preprocess: str, top1: float, convolutions: int
) -> None:
    bundle = tmp_path / "b"
    path = shared_data / "models" / model
    result = export(shared_data, bundle, path, "--preprocess", preprocess, "--int8")

    assert result["verdict"]["samples"] == 250
    for artifact in result["verdict"]["artifacts"]:
        metrics = artifact["metrics"]
        assert metrics["top1_drop"]["estimate"] <= 1.0, artifact["file"]
        assert metrics["agreement"] >= 92.0, artifact["file"]
        assert (bundle / artifact["file"]).stat().st_size <= 4.1e6
    tflite, onnx = json.loads((bundle / "manifest.json").read_text())["artifacts"]
    assert tflite["float_operators"] == {}
    # A final average in float costs nothing and, in int8, two points of agreement.
    assert set(onnx["float_operators"]) <= {"GlobalAveragePool"}
    assert onnx["operators"]["QLinearConv"] == convolutions


def test_a_zoo_name_with_a_weights_file_is_the_same_model(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "models" / "mobilenetv2_imagenet.keras"

    result = export(shared_data, tmp_path / "b", "mobilenetv2", "--weights", path, "--fp32")

    metrics = result["verdict"]["artifacts"][0]["metrics"]
    assert metrics["top1_reference"] == pytest.approx(83.2)
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["provenance"]["zoo"] == "mobilenetv2"


def test_keyword_spotting_from_a_saved_model_and_integer_features(
    shared_data: Path, tmp_path: Path
) -> None:
    tiny = shared_data / "mlperf-tiny"
    done = edgeconv(
        "export", tiny / "keyword_spotting" / "kws_ref_model", "--preprocess", "array",
        "--calibration", tiny / "kws01.npz", "--output", tmp_path / "b", "--json",
    )  # fmt: skip

    assert done.code == 0, done.stderr
    for artifact in json.loads(done.stdout)["verdict"]["artifacts"]:
        assert artifact["metrics"]["top1_reference"] > 90.0
        assert artifact["metrics"]["top1_drop"]["estimate"] <= 1.0
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["preprocess"]["scale"] == pytest.approx([0.58470291])


@pytest.mark.parametrize(
    "model",
    [
        "image_classification/pretrainedResnet.h5",
        "visual_wake_words/vww_96.h5",
        "streaming_wakeword/str_ww_ref_model.h5",
        "anomaly_detection/ad01.h5",
    ],
)
def test_legacy_files_of_mlperf_tiny_load_safely(
    shared_data: Path, tmp_path: Path, model: str
) -> None:
    """With no data of their own: a float export, judged on random inputs, must be exact."""
    import h5py
    import numpy as np

    path = shared_data / "mlperf-tiny" / model
    with h5py.File(path) as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    shape = next(
        x["config"]["batch_input_shape"] for x in layers if "batch_input_shape" in x["config"]
    )
    x = np.random.default_rng(0).random((16, *shape[1:]), dtype=np.float32)
    np.savez(tmp_path / "x.npz", x=x)

    done = edgeconv(
        "export", path, "--preprocess", "array", "--parity", tmp_path / "x.npz", "--fp32",
        "--output", tmp_path / "b", "--json",
    )  # fmt: skip

    assert done.code == 0, done.stderr
    for artifact in json.loads(done.stdout)["verdict"]["artifacts"]:
        assert artifact["equivalent"], artifact
