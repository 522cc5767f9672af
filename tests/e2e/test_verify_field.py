"""Published models against their published originals, and against our own conversions."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.command import Outcome, edgeconv

pytestmark = pytest.mark.long


def verdict_of(done: Outcome) -> list[dict]:
    assert done.code in (0, 1), done.stderr
    return json.loads(done.stdout)["verdict"]["artifacts"]


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs that mean nothing, without labels."""
    path = tmp_path_factory.mktemp("noise") / "x.npz"
    np.savez(path, x=np.random.default_rng(0).normal(-10, 10, (100, 640)).astype(np.float32))
    return path


def test_the_published_anomaly_detector_is_not_its_original(shared_data: Path, noise: Path) -> None:
    """Nine folded biases are wrong, by the README of the shared data."""
    folder = shared_data / "mlperf-tiny" / "anomaly_detection"

    done = edgeconv(
        "verify", folder / "ad01_fp32.tflite", "--against", folder / "ad01.h5", "--data", noise
    )

    assert done.code == 1, done.stderr
    assert "Parity  lost" in done.stdout


def test_the_nine_wrong_biases_are_blamed(shared_data: Path, noise: Path) -> None:
    folder = shared_data / "mlperf-tiny" / "anomaly_detection"

    (artifact,) = verdict_of(
        edgeconv(
            "verify", folder / "ad01_fp32.tflite", "--against", folder / "ad01.h5",
            "--data", noise, "--json",
        )
    )  # fmt: skip

    blamed = [layer for layer in artifact["layers"] if "bias" in layer["reason"]]
    assert len(blamed) == 9, [(x["name"], x["reason"]) for x in artifact["layers"]]


def test_our_own_conversion_of_the_anomaly_detector_passes(
    shared_data: Path, noise: Path, tmp_path: Path
) -> None:
    model = shared_data / "mlperf-tiny" / "anomaly_detection" / "ad01.h5"
    made = edgeconv(
        "export", model, "--fp32", "--calibration", noise, "--output", tmp_path / "ad01"
    )
    assert made.code == 0, made.stderr

    artifacts = verdict_of(
        edgeconv("verify", tmp_path / "ad01", "--against", model, "--data", noise, "--json")
    )

    assert [(a["status"], a["equivalent"]) for a in artifacts] == [("pass", True)] * 2


@pytest.mark.parametrize(
    ("file", "equivalent"),
    [("pretrainedResnet.tflite", True), ("pretrainedResnet_quant.tflite", False)],
)
def test_the_published_resnet8_files_are_their_original(
    shared_data: Path, file: str, equivalent: bool
) -> None:
    """They hold their softmax; the int8 one takes pixel - 128."""
    folder = shared_data / "mlperf-tiny" / "image_classification"

    (artifact,) = verdict_of(
        edgeconv(
            "verify", folder / file, "--against", folder / "pretrainedResnet.h5",
            "--preprocess", "none", "--data", shared_data / "cifar10" / "cifar10_sample.npz:test",
            "--json",
        )
    )  # fmt: skip

    assert artifact["equivalent"] == equivalent
    assert artifact["metrics"]["top1_reference"] == pytest.approx(76.40)
    assert artifact["metrics"]["top1"] == pytest.approx(76.20 if not equivalent else 76.40)
    assert artifact["status"] != "fail"


def test_a_file_that_ends_in_its_softmax_is_a_classifier_without_labels_too(
    shared_data: Path,
) -> None:
    folder = shared_data / "mlperf-tiny"

    (artifact,) = verdict_of(
        edgeconv(
            "verify", folder / "visual_wake_words" / "vww_96_float.tflite",
            "--against", folder / "keras3" / "vww_96.keras", "--preprocess", "unit", "--json",
        )
    )  # fmt: skip

    assert (artifact["gated"], artifact["equivalent"]) == ("agreement_interval", True)


def test_our_resnet8_does_as_well_as_the_published_int8_file(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "mlperf-tiny" / "image_classification"
    data = shared_data / "cifar10" / "cifar10_sample.npz"
    model = folder / "pretrainedResnet.h5"
    made = edgeconv(
        "export", model, "--preprocess", "none", "--calibration", f"{data}:train",
        "--parity", f"{data}:test", "--output", tmp_path / "resnet8",
    )  # fmt: skip
    assert made.code == 0, made.stderr

    published = edgeconv(
        "verify", folder / "pretrainedResnet_quant.tflite", "--against", tmp_path / "resnet8",
        "--data", f"{data}:test", "--json",
    )  # fmt: skip
    ours = verdict_of(
        edgeconv(
            "verify", tmp_path / "resnet8", "--against", model, "--preprocess", "none",
            "--data", f"{data}:test", "--json",
        )
    )  # fmt: skip

    (other,) = verdict_of(published)
    assert other["metrics"]["agreement"] > 90
    for artifact in ours:
        assert artifact["status"] != "fail"
        assert artifact["metrics"]["top1"] >= other["metrics"]["top1"] - 0.5
        assert artifact["metrics"]["agreement"] >= 94.9  # of the published file: see the README


def test_our_keyword_model_does_as_well_as_the_published_int8_file(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "mlperf-tiny"
    data, model = folder / "kws01.npz", folder / "keras3" / "kws_ref_model.keras"
    arrays = ("--preprocess", "array")  # (49, 10, 1) looks like a picture, and is none
    made = edgeconv("export", model, *arrays, "--calibration", data, "--output", tmp_path / "kws")
    assert made.code in (0, 1), made.stderr

    published = verdict_of(
        edgeconv(
            "verify", folder / "keyword_spotting" / "aww_ref_model.tflite", "--against", model,
            *arrays, "--data", data, "--json",
        )
    )  # fmt: skip
    ours = verdict_of(
        edgeconv("verify", tmp_path / "kws", "--against", model, *arrays, "--data", data, "--json")
    )

    (other,) = published
    assert other["metrics"]["top1_reference"] == pytest.approx(91.3)
    assert other["metrics"]["top1"] == pytest.approx(91.8)
    assert other["metrics"]["agreement"] == pytest.approx(98.7)
    for artifact in ours:
        assert artifact["status"] != "fail"
        assert artifact["metrics"]["agreement"] >= 98.0
