"""infer.py alone: what a device has is NumPy, Pillow and one engine."""

import json
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
    for arguments in (
        [picture],
        [picture, "--top", "2"],
        ["--top", "2", picture],
        [picture, "--engine", "onnxruntime", picture],
    ):
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
        (["--inputs-npz", "x.npz", "--outputs-npz", "./x.npz"], 2, "name the same file"),
        (["--inputs-npz", "x.npz", "--outputs-npz", "."], 6, "it is a folder"),
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


@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_raw_outputs_are_what_the_file_gives(bundle: Path, tmp_path: Path, engine: str) -> None:
    x = bundles.golden_inputs()
    np.savez(tmp_path / "x.npz", x0=x)
    files = ("--inputs-npz", tmp_path / "x.npz", "--outputs-npz", tmp_path / "y.npz")
    done = infer(bundle, *files, "--engine", engine, "--json")
    assert (done.code, done.stderr) == (0, "")
    made = np.load(tmp_path / "y.npz")
    assert made.files == ["y0"] and made["y0"].dtype == np.float32
    np.testing.assert_allclose(made["y0"], bundles.logits(x), atol=1e-5)
    document = json.loads(done.stdout)
    assert document["engine"]["name"] == engine
    assert (document["samples"], document["latency_ms"]["calls"]) == (3, 3)
    (row,) = document["outputs"]
    assert (row["array"], row["shape"], row["dtype"]) == ("y0", [3, 10], "float32")
    first = (tmp_path / "y.npz").read_bytes()
    assert edgeconv("run", bundle, *files, "--engine", engine, "--batch", "2").code == 0
    assert (tmp_path / "y.npz").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npz", "y.npz"]


def test_bench_tells_engine_machine_times_and_memory(bundle: Path) -> None:
    command = ("--bench", "--repeat", "7", "--warmup", "1", "--batch", "5", "--threads", "2")
    document = json.loads(infer(bundle, *command, "--json").stdout)
    assert document["schema_version"] == 1
    assert set(document) >= {
        "schema_version", "model", "precision", "file", "engine", "device", "fallback", "python",
        "numpy", "machine", "system", "threads", "batch", "samples", "outputs", "load_ms",
        "latency_ms", "items_per_s", "peak_memory_kib",
    }  # fmt: skip
    assert (document["threads"], document["batch"], document["samples"]) == (2, 5, 3)
    assert document["latency_ms"]["calls"] == 7
    assert 0.0 < document["latency_ms"]["median"] <= document["latency_ms"]["p95"]
    assert document["load_ms"] > 0.0 and document["outputs"] == []
    assert document["device"] == "cpu" and document["fallback"] is None
    # More than NumPy and an engine can do without, and less than this whole machine.
    assert 10_000 < document["peak_memory_kib"] < 10_000_000
    shown = infer(bundle, *command).stdout
    assert "ms median" in shown and "MiB at most" in shown


@pytest.mark.parametrize(
    ("arrays", "code", "words"),
    [
        ({"x0": np.zeros((2, 8, 9, 3), np.float32)}, 2, "x0 is [2, 8, 9, 3]"),
        ({"x0": np.zeros((0, 8, 8, 3), np.float32)}, 2, "x0 is [0, 8, 8, 3]"),
        ({"x0": np.zeros((1, 8, 8, 3), np.uint8)}, 2, "x0 holds uint8"),
        ({"x0": np.full((1, 8, 8, 3), np.nan, np.float32)}, 3, "x0 holds NaN"),
        ({"x1": np.zeros((1, 8, 8, 3), np.float32)}, 2, "x.npz holds 'x1'"),
        ({}, 2, "x.npz holds no arrays"),
        ({"x0": np.array([None])}, 3, "safe to read"),
    ],
)
def test_arrays_that_are_not_the_models_leave_no_output(
    bundle: Path, tmp_path: Path, arrays: dict[str, np.ndarray], code: int, words: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    files = ("--inputs-npz", tmp_path / "x.npz", "--outputs-npz", tmp_path / "y.npz")
    done = infer(bundle, *files)
    assert (done.code, done.stdout) == (code, "")
    assert words in done.stderr.splitlines()[0]
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_outputs_that_can_not_be_written_are_a_disk_error(bundle: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x0=bundles.golden_inputs())
    (tmp_path / "y.npz").mkdir()
    for target in (tmp_path / "y.npz", tmp_path / "absent" / "y.npz"):
        done = infer(bundle, "--inputs-npz", tmp_path / "x.npz", "--outputs-npz", target)
        assert done.code == 6, done.stderr
        assert "can't be written" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npz", "y.npz"]


def test_a_fallback_is_said_on_stderr_and_in_the_json(bundle: Path, picture: Path) -> None:
    asked = ("--device", "cuda", "--engine", "litert", "--allow-fallback", "--json")
    for done in (infer(bundle, picture, *asked), edgeconv("run", bundle, picture, *asked)):
        assert done.code == 0
        assert "CPU, not on cuda" in done.stderr
        document = json.loads(done.stdout)
        assert (document["device"], document["fallback"]) == (
            "cpu",
            "TFLite files run on the CPU, not on cuda.",
        )


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


def _reseal(bundle: Path) -> None:
    names = sorted(path.name for path in bundle.iterdir() if path.name != "SHA256SUMS")
    with (bundle / "SHA256SUMS").open("w") as sums:
        subprocess.run(["sha256sum", *names], cwd=bundle, stdout=sums, check=True)
