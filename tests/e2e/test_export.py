"""The main job through the real command line, on a small trained classifier."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.command import Outcome, edgeconv

Run = Callable[..., Outcome]

FILES = {
    "README.md", "SHA256SUMS", "bench.json", "golden.npz", "infer.py", "labels.txt",
    "manifest.json", "model.onnx", "model.tflite", "recipe.toml", "report.html", "verdict.json",
}  # fmt: skip
#: Timings and dates stand in these alone; SHA256SUMS covers them.
DATED = {"bench.json", "report.html", "SHA256SUMS"}


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


def export_again(
    models: Path, pictures: Path, labels: Path, output: Path, *options: str, **env: str
) -> Outcome:
    return edgeconv(
        "export", models / "colours.keras", "--preprocess", "unit", "--labels", labels,
        "--calibration", pictures, "--output", output, "--json", *options, env=env,
    )  # fmt: skip


def test_a_bundle_holds_what_the_design_says(bundle: Path) -> None:
    assert {path.name for path in bundle.iterdir()} == FILES


def test_every_file_is_sealed(bundle: Path) -> None:
    lines = (bundle / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}

    assert set(sums) == FILES - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == digest, name


def test_int8_is_int8_inside_and_out(bundle: Path) -> None:
    tflite, onnx = read_json(bundle / "manifest.json")["artifacts"]

    assert tflite["inputs"][0]["dtype"] == tflite["outputs"][0]["dtype"] == "int8"
    assert tflite["float_operators"] == {}
    assert tflite["inputs"][0]["scale"] > 0
    assert onnx["inputs"][0]["dtype"] == "float32"
    assert onnx["float_operators"] == {}
    assert onnx["operators"]["QLinearConv"] == 3


def test_the_trained_classifier_keeps_its_answers(bundle: Path) -> None:
    for artifact in read_json(bundle / "verdict.json")["artifacts"]:
        assert artifact["metrics"]["top1_reference"] == 100.0
        assert artifact["metrics"]["top1_drop"]["estimate"] == 0.0
        assert artifact["metrics"]["agreement"] == 100.0
        assert artifact["metrics"]["sqnr_db"] > 20


def test_both_formats_call_a_layer_by_its_keras_name(bundle: Path) -> None:
    """A recipe names layers once for both; the depthwise kernel is reshaped on its way to ONNX."""
    for artifact in read_json(bundle / "verdict.json")["artifacts"]:
        weighted = {layer["name"] for layer in artifact["layers"] if "weights" in layer}
        assert weighted == {"stem", "depthwise", "project", "head"}, artifact["file"]
        assert sum(layer["share"] for layer in artifact["layers"]) == pytest.approx(100, abs=0.01)


def test_the_same_job_gives_the_same_bytes(
    bundle: Path, models: Path, pictures: Path, labels: Path, tmp_path: Path
) -> None:
    """From scratch, and under another hash seed, which orders Python's sets of strings."""
    again = tmp_path / "again"
    done = export_again(models, pictures, labels, again, "--no-cache", PYTHONHASHSEED="99")

    assert done.code == 0, done.stderr
    for name in sorted(FILES - DATED):
        assert (again / name).read_bytes() == (bundle / name).read_bytes(), name


def test_the_second_export_needs_no_tensorflow_and_gives_the_same_bytes(
    bundle: Path, models: Path, pictures: Path, labels: Path, tmp_path: Path
) -> None:
    """``bundle`` filled the cache; a child process would be a TensorFlow of its own."""
    script = """
import sys
from edgeconv.cli import main
from edgeconv.workshop import Workshop
def refuse(self): raise AssertionError("TensorFlow was started")
Workshop._started = refuse
sys.exit(main(sys.argv[1:]))
"""
    done = subprocess.run(
        [
            *(sys.executable, "-c", script, "export", models / "colours.keras"),
            *("--preprocess", "unit", "--labels", labels, "--calibration", pictures),
            *("--output", tmp_path / "again", "--debug"),
        ],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    for name in sorted(FILES - DATED):
        assert (tmp_path / "again" / name).read_bytes() == (bundle / name).read_bytes(), name


def test_new_data_wake_a_model_that_the_cache_described(
    bundle: Path, models: Path, labels: Path, run: Run, tmp_path: Path
) -> None:
    """Its layers come from the cache, its answers to other pictures don't."""
    done = run(
        "export", models / "colours.keras", "--preprocess", "unit", "--labels", labels,
        "--calibration", f"{models / 'colours.npz'}:train", "--output", "other",
    )  # fmt: skip

    assert done.code == 0, done.stderr
    verdict = read_json(tmp_path / "other" / "verdict.json")
    assert verdict["samples"] == 120
    assert verdict["artifacts"][0]["metrics"]["top1_reference"] == 100.0


def test_the_recipe_of_a_bundle_makes_the_same_model(
    bundle: Path, models: Path, pictures: Path, labels: Path, run: Run, tmp_path: Path
) -> None:
    done = run(
        "export", models / "colours.keras", "--preprocess", "unit", "--labels", labels,
        "--calibration", pictures, "--recipe", bundle / "recipe.toml", "--output", "again",
    )  # fmt: skip

    assert done.code == 0, done.stderr
    for name in ("model.tflite", "model.onnx"):
        assert (tmp_path / "again" / name).read_bytes() == (bundle / name).read_bytes()


def test_json_is_one_object_and_progress_goes_elsewhere(
    models: Path, pictures: Path, labels: Path, tmp_path: Path
) -> None:
    done = export_again(models, pictures, labels, tmp_path / "b")
    result = json.loads(done.stdout)

    assert result["schema_version"] == 1
    assert result["exit_code"] == done.code == 0
    assert result["verdict"] == read_json(tmp_path / "b" / "verdict.json")
    assert "✓ load" in done.stderr
    assert "tensorflow" not in done.stderr.lower()
    assert "INFO" not in done.stderr


@pytest.mark.parametrize(
    ("precision", "formats"),
    [
        ("fp32", "tflite,onnx"),
        ("fp16", "tflite,onnx"),
        ("dynamic", "tflite,onnx"),
        ("int16x8", "tflite"),
    ],
)
def test_every_precision_keeps_the_answers(
    run: Run, models: Path, pictures: Path, tmp_path: Path, precision: str, formats: str
) -> None:
    done = run(
        "export", models / "colours.keras", "--preprocess", "unit", "--calibration", pictures,
        f"--{precision}", "--format", formats, "--output", "out", "--json",
    )  # fmt: skip

    assert done.code == 0, done.stderr
    artifacts = json.loads(done.stdout)["verdict"]["artifacts"]
    assert [a["format"] for a in artifacts] == formats.split(",")
    for artifact in artifacts:
        assert artifact["metrics"]["agreement"] == 100.0, artifact
        assert artifact["equivalent"] or precision != "fp32"


@pytest.mark.parametrize("model", ["colours.h5", "colours_saved_model"])
def test_older_files_become_the_same_function(
    run: Run, bundle: Path, models: Path, pictures: Path, tmp_path: Path, model: str
) -> None:
    done = run(
        "export", models / model, "--preprocess", "unit", "--calibration", pictures,
        "--output", "out", "--json",
    )  # fmt: skip

    assert done.code == 0, done.stderr
    assert read_json(tmp_path / "out" / "manifest.json")["activation"] == "softmax"
    golden = [np.load(folder / "golden.npz") for folder in (tmp_path / "out", bundle)]
    ours, theirs = (data["model.onnx.output_0"] for data in golden)
    np.testing.assert_array_equal(ours, theirs)


def test_a_model_that_is_no_classifier_is_judged_by_its_error(
    run: Run, models: Path, tmp_path: Path
) -> None:
    done = run(
        "export", models / "autoencoder.keras", "--calibration", models / "vectors.npz",
        "--output", "out", "--json",
    )  # fmt: skip

    assert done.code == 0, done.stderr
    for artifact in json.loads(done.stdout)["verdict"]["artifacts"]:
        assert artifact["metrics"]["cosine_mean"] > 0.95
        assert artifact["metrics"]["relative_error"] < 25.0
        assert "top1" not in artifact["metrics"]


def test_the_built_in_pictures_serve_where_no_data_is_given(
    run: Run, models: Path, tmp_path: Path
) -> None:
    done = run(
        "export", models / "colours.keras", "--preprocess", "unit", "--output", "out", "--json"
    )

    verdict = json.loads(done.stdout)["verdict"]
    assert verdict["samples"] == 64
    assert "agreement" in verdict["gate"]


def test_no_data_are_needed_where_batchnorms_remember_them(
    run: Run, models: Path, pictures: Path, tmp_path: Path
) -> None:
    done = run(
        "export", models / "colours.keras", "--preprocess", "unit", "--calibration", "none",
        "--parity", pictures, "--output", "out", "--json",
    )  # fmt: skip

    assert done.code == 0, done.stderr
    assert "no data was read: calibrated on 32 inputs synthesised from 2 BatchNorms" in done.stderr
    for artifact in json.loads(done.stdout)["verdict"]["artifacts"]:
        assert artifact["metrics"]["agreement"] >= 95.0
    said = "synthesised from BatchNorm statistics (ZeroQ), seed 0"
    assert read_json(tmp_path / "out" / "manifest.json")["provenance"]["calibration"] == said
    assert said in (tmp_path / "out" / "report.html").read_text()


def test_a_free_size_is_fixed_by_input_size(
    run: Run, models: Path, pictures: Path, tmp_path: Path
) -> None:
    done = run(
        "export", models / "free_size.keras", "--preprocess", "unit", "--input-size", "16",
        "--calibration", pictures, "--output", "out", "--json",
    )  # fmt: skip

    assert done.code in (0, 1), done.stderr
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert manifest["inputs"][0]["shape"] == [None, 16, 16, 3]


def test_force_replaces_a_bundle(
    models: Path, pictures: Path, labels: Path, tmp_path: Path
) -> None:
    target = tmp_path / "b"
    assert export_again(models, pictures, labels, target).code == 0
    (target / "model.onnx").write_bytes(b"old")

    refused = export_again(models, pictures, labels, target)
    forced = edgeconv(
        "export", models / "colours.keras", "--preprocess", "unit", "--labels", labels,
        "--calibration", pictures, "--output", target, "--force",
    )  # fmt: skip

    assert refused.code == 2
    assert forced.code == 0, forced.stderr
    assert (target / "model.onnx").read_bytes() != b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_an_undecided_parity_is_exit_code_1_where_a_decision_is_demanded(
    run: Run, models: Path, pictures: Path
) -> None:
    arguments = (
        "export", models / "colours.keras", "--preprocess", "unit", "--calibration", pictures,
        "--max-drop", "top1=0.01",
    )  # fmt: skip

    undecided = run(*arguments, "--output", "a")
    demanded = run(*arguments, "--output", "b", "--on-inconclusive", "fail")

    assert undecided.code == 0, undecided.stderr
    assert demanded.code == 1, demanded.stderr
    assert "more would decide" in demanded.stdout


def test_run_prints_the_labels(run: Run, bundle: Path, pictures: Path) -> None:
    done = run("run", bundle, pictures / "green" / "00.png", pictures / "blue" / "00.png", "--json")

    assert done.code == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert [a["top"][0]["label"] for a in results] == ["green", "blue"]
    assert sum(item["probability"] for item in results[0]["top"]) == pytest.approx(1.0, abs=1e-6)


def test_infer_py_replays_the_golden_file(bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, bundle / "infer.py", "--self-test"], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "pass" in done.stdout


def test_inspect_shows_the_quantization(run: Run, bundle: Path) -> None:
    done = run("inspect", bundle / "model.tflite", "--json")

    assert done.code == 0, done.stderr
    assert "CONV_2D" in done.stdout
    assert json.loads(done.stdout)["schema_version"] == 1


def test_a_recipe_that_keeps_the_softmax_keeps_it(
    run: Run, models: Path, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text('precision = "fp32"\nkeep_softmax = true\n')
    done = run(
        "export", models / "colours.keras", "--preprocess", "unit", "--calibration", pictures,
        "--recipe", "recipe.toml", "--format", "onnx", "--output", "out",
    )  # fmt: skip

    assert done.code == 0, done.stderr
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert manifest["activation"] == "linear"
    answers = np.load(tmp_path / "out" / "golden.npz")["model.onnx.output_0"]
    np.testing.assert_allclose(answers.sum(axis=1), 1.0, atol=1e-5)
