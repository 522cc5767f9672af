"""infer.py alone: what a device has is NumPy, Pillow and one engine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import bundles
from tests.e2e.command import Outcome, edgeconv


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("infer"))


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "a cat.png"
    pixels = np.random.default_rng(5).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def infer(bundle: Path, *arguments: object, python: Path = Path(sys.executable)) -> Outcome:
    """Run the script as a device does: -I keeps edgeconv of this folder out of reach."""
    command = [python, "-I", bundle / "infer.py", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_it_answers_as_edgeconv_run_does(bundle: Path, picture: Path) -> None:
    for arguments in ([picture], [picture, "--top", "2"], [picture, "--engine", "onnxruntime"]):
        script, command = infer(bundle, *arguments), edgeconv("run", bundle, *arguments)
        assert (script.code, script.stderr) == (0, "")
        assert script.stdout == command.stdout
    lines = infer(bundle, picture, "--top", "2").stdout.splitlines()
    assert lines[0] == "a cat.png"
    assert len(lines) == 3
    assert lines[1].endswith(" %")


def test_json_is_one_object_with_probabilities(bundle: Path, picture: Path) -> None:
    script = infer(bundle, picture, picture, "--json")
    document = json.loads(script.stdout)
    assert document["schema_version"] == 1
    assert document["engine"]["name"] == "litert"
    assert [row["input"] for row in document["results"]] == ["a cat.png"] * 2
    top = document["results"][0]["top"]
    assert len(top) == 5
    assert 0.0 < top[0]["probability"] <= 1.0
    assert top[0]["label"] == f"class {top[0]['index']}"
    assert document == json.loads(edgeconv("run", bundle, picture, picture, "--json").stdout)


def test_self_test_passes_here_and_fails_on_another_model(bundle: Path, tmp_path: Path) -> None:
    done = infer(bundle, "--self-test")
    assert done.code == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["pass", "model.tflite"],
        ["pass", "model.onnx"],
    ]
    other = bundles.make_bundle(tmp_path, golden_inputs=[bundles.golden_inputs() * 0.5])
    np.savez(
        other / "golden.npz",
        **{**np.load(other / "golden.npz"), "input_0": bundles.golden_inputs()},
    )
    _reseal(other)
    failed = infer(other, "--self-test", "--json")
    assert failed.code == 1
    assert json.loads(failed.stdout)["passed"] is False


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "No INPUT"),
        (["absent.jpg"], 2, "absent.jpg does not exist"),
        (["x", "--top", "0"], 2, "no count"),
        (["x", "--engine", "tensorflow"], 2, "invalid choice"),
        (["--no-such-option"], 2, "unrecognized"),
        (["{bundle}/labels.txt"], 3, "labels.txt"),
        (["{bundle}/golden.npz"], 2, "golden.npz holds 'input_0'"),
        (["x.npy", "--inputs-npz", "x.npz"], 2, "--inputs-npz takes no INPUT"),
        (["x.npy", "--bench"], 2, "--bench takes no INPUT"),
        (["--outputs-npz", "y.npz"], 2, "no --inputs-npz"),
        (["--inputs-npz", "absent.npz"], 2, "absent.npz does not exist"),
        (["--inputs-npz", "{bundle}/labels.txt"], 3, "no sound .npz"),
        (["--bench", "--repeat", "0"], 2, "no count of 1"),
        (["--bench", "--batch", "5000"], 2, "more than 4096"),
        (["x.npy", "--device", "npu"], 2, "invalid choice"),
        (["--bench", "--device", "cuda"], 5, "built without CUDA"),
        (["--self-test", "--device", "tensorrt"], 5, "built without TensorRT"),
        (["--bench", "--device", "gpu", "--engine", "litert"], 4, "not on gpu"),
        (["x.npy", "--engine", "tflite-runtime"], 5, "tflite-runtime is not installed"),
    ],
)
def test_bad_input_is_one_line_and_the_right_code(
    bundle: Path, arguments: list[str], code: int, words: str
) -> None:
    ready = [argument.format(bundle=bundle) for argument in arguments]
    plain, as_json = infer(bundle, *ready), infer(bundle, *ready, "--json")
    assert (plain.code, as_json.code) == (code, code), plain.stderr
    assert plain.stdout == ""
    assert words in plain.stderr.splitlines()[0]
    assert len(plain.stderr.splitlines()) <= 2
    assert words in json.loads(as_json.stdout)["error"]["message"]


def test_inspect_shows_a_bundle_and_its_files(bundle: Path) -> None:
    shown = edgeconv("inspect", bundle)
    assert shown.code == 0, shown.stderr
    for part in (
        "tiny",
        "input      image  float32  1 x 8 x 8 x 3",
        "in float   FULLY_CONNECTED 1",
    ):
        assert part in shown.stdout
    document = json.loads(edgeconv("inspect", bundle / "model.onnx", "--json").stdout)
    assert document["schema_version"] == 1
    assert document["artifacts"][0]["operators"] == {"Flatten": 1, "MatMul": 1}


def test_a_reader_that_stops_early_is_no_error(bundle: Path, picture: Path) -> None:
    command = f'"{sys.executable}" -I "{bundle}/infer.py" "{picture}" | true'
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


#: What devices have. tflite-runtime 2.14 is the last of its line; its wheels need NumPy 1.x.
DEVICES = {
    "litert": ("numpy", "pillow", "ai-edge-litert"),
    "onnxruntime": ("numpy", "pillow", "onnxruntime"),
    "tflite-runtime": ("numpy<2", "pillow", "tflite-runtime==2.14.0"),
}


@pytest.mark.long
@pytest.mark.parametrize("engine", DEVICES)
def test_a_fresh_environment_with_one_engine_is_enough(
    bundle: Path, picture: Path, tmp_path: Path, engine: str
) -> None:
    python = _environment(tmp_path / "venv", *DEVICES[engine])
    packages = subprocess.run(
        [python, "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    ).stdout
    assert "edgeconv" not in packages
    assert "tensorflow" not in packages
    tested = infer(bundle, "--self-test", "--json", python=python)
    assert tested.code == 0, tested.stdout + tested.stderr
    (row,) = json.loads(tested.stdout)["self_test"]
    assert row["engine"] == engine
    here = json.loads(infer(bundle, picture, "--json").stdout)["results"][0]["top"]
    there = json.loads(infer(bundle, picture, "--json", python=python).stdout)["results"][0]["top"]
    assert [row["label"] for row in there] == [row["label"] for row in here]
    assert there[0]["probability"] == pytest.approx(here[0]["probability"], abs=1e-4)


@pytest.mark.long
def test_tflite_runtime_beside_numpy_2_says_what_to_do(
    bundle: Path, picture: Path, tmp_path: Path
) -> None:
    python = _environment(tmp_path / "venv", "numpy>=2", "pillow", "tflite-runtime==2.14.0")
    done = infer(bundle, picture, python=python)
    assert done.code == 5
    assert "numpy<2" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def _environment(folder: Path, *packages: str) -> Path:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr
    return python


def _reseal(bundle: Path) -> None:
    names = sorted(path.name for path in bundle.iterdir() if path.name != "SHA256SUMS")
    with (bundle / "SHA256SUMS").open("w") as sums:
        subprocess.run(["sha256sum", *names], cwd=bundle, stdout=sums, check=True)
