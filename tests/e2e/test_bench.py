"""``edgeconv bench``: real processes, here and through a transport."""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import bundles
from tests.e2e.command import Outcome

Run = Callable[..., Outcome]
ROW_KEYS = {
    "bundle", "model", "precision", "file", "engine", "device", "fallback", "bound", "threads",
    "batch", "calls", "latency_ms_median", "latency_ms_p95", "latency_ms_rounds", "items_per_s",
    "load_ms", "first_call_ms", "peak_memory_kib",
}  # fmt: skip
QUICK = ("--repeat", 2, "--rounds", 1, "--warmup", 1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("bench"))


def test_it_measures_every_case_and_writes_what_it_shows(
    run: Run, tiny: Path, tmp_path: Path
) -> None:
    done = run(
        "bench", tiny, "--engine", "onnxruntime", "--batch", "1,4", "--json",
        "--output", "bench.json", "--output", "bench.svg", *QUICK,
    )  # fmt: skip

    assert done.code == 0, done.stderr
    result = json.loads(done.stdout)
    assert json.loads((tmp_path / "bench.json").read_text()) == result
    assert [row["batch"] for row in result["rows"]] == [1, 4]
    for row in result["rows"]:
        assert set(row) == ROW_KEYS
        assert (row["calls"], row["threads"], row["device"]) == (2, 1, "cpu")
        assert row["latency_ms_median"] <= row["latency_ms_p95"]
        rate = row["batch"] * 1e3 / row["latency_ms_median"]
        assert row["items_per_s"] == pytest.approx(rate, rel=0.01)
        assert row["load_ms"] > 0 and row["peak_memory_kib"] > 10_000
    (profile,) = result["operators"]
    assert [row["op"] for row in profile["rows"]] == ["Flatten", "MatMul"]
    assert sum(row["percent"] for row in profile["rows"]) == pytest.approx(100, abs=0.1)
    assert ElementTree.parse(tmp_path / "bench.svg").getroot().tag.endswith("svg")
    assert {path.name for path in tmp_path.iterdir()} == {"bench.json", "bench.svg"}


def test_the_table_is_for_people_and_says_what_has_no_profile(run: Run, tiny: Path) -> None:
    done = run("bench", tiny, "--engine", "litert", "--on", "local", *QUICK)

    assert done.code == 0, done.stderr
    assert "local: " in done.stdout and "tiny-fp32" in done.stdout
    assert "litert has no profile of operators in its Python interface." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "cause", "code"),
    [
        (["--batch", "1,no"], "Argument --batch: 'no' is no whole number from 1 to 4096.", 2),
        (["--repeat", "9" * 5000], f"'{'9' * 20}' is no whole number from 1 to 1000000.", 2),
        (["--engine", "tensorflow"], "is none of litert, tflite-runtime, onnxruntime.", 2),
        (["--on", "telnet:here"], "is no device", 2),
        (["--output", "bench.png"], "bench.png is neither .json nor .svg.", 2),
        (["--output", "absent/bench.svg"], "There is no folder", 2),
        (["--compare", "absent"], "There is no bundle folder absent.", 2),
        (["--engine", "litert", "--bind"], "can't keep inputs and outputs on a device.", 4),
    ],
)
def test_what_can_not_be_measured_is_one_line_and_a_remedy(
    run: Run, tiny: Path, tmp_path: Path, arguments: list[str], cause: str, code: int
) -> None:
    done = run("bench", tiny, *arguments)

    assert done.code == code, done.stderr
    first, hint = done.error_lines()
    assert first.startswith("edgeconv: ") and cause in first and hint.startswith("  ")
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_an_error_unless_the_cpu_is_accepted(
    run: Run, tiny: Path
) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime is built with CUDA")
    refused = run("bench", tiny, "--device", "cuda", "--json", *QUICK)
    assert refused.code == 5
    assert "built without CUDA" in json.loads(refused.stdout)["error"]["message"]

    accepted = run("bench", tiny, "--device", "cuda", "--allow-fallback", "--json", *QUICK)
    (row,) = json.loads(accepted.stdout)["rows"]
    assert row["device"] == "cpu" and "It runs on the CPU instead." in row["fallback"]


def test_a_bundle_that_was_changed_is_refused_before_anything_runs(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "parts").mkdir()
    bundle = bundles.make_bundle(tmp_path / "parts")
    data = bytearray((bundle / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(data)

    done = run("bench", bundle, *QUICK)

    assert done.code == 3 and "model.onnx" in done.stderr and "✓ measure" not in done.stderr


def test_doctor_tells_which_devices_are_ready(run: Run) -> None:
    done = run("doctor", "--json")

    devices = json.loads(done.stdout)["onnxruntime_devices"]
    assert devices["cpu"] == {"ready": True, "lack": None}
    assert set(devices) == {"cpu", "cuda", "tensorrt"}
    assert all(place["ready"] == (place["lack"] is None) for place in devices.values())


@pytest.mark.long
def test_float_beside_int8_on_a_real_model(run: Run, shared_data: Path, tmp_path: Path) -> None:
    model = shared_data / "models" / "mobilenetv2_imagenet.keras"
    pictures = f"{shared_data / 'imagenet-sample' / 'manifest.csv'}:calibration"
    for precision in ("int8", "fp32"):
        made = run(
            "export", model, "--preprocess", "tf", f"--{precision}", "--format", "onnx",
            *(("--calibration", pictures) if precision == "int8" else ()), "--output", precision,
        )  # fmt: skip
        assert made.code == 0, made.stderr

    done = run("bench", "int8", "--compare", "fp32", "--json", "--repeat", 20)

    assert done.code == 0, done.stderr
    result = json.loads(done.stdout)
    whole, floating = result["rows"]
    assert (whole["precision"], floating["precision"]) == ("int8", "fp32")
    assert whole["peak_memory_kib"] < floating["peak_memory_kib"]
    assert len(whole["latency_ms_rounds"]) == 3
    # One line about the pair, whichever is faster on a machine that others use too.
    (sentence,) = result["findings"]
    assert sentence.startswith("model.onnx, onnxruntime ")
    assert ", 1 thread, batch 1: int8" in sentence
    profiles = {profile["bundle"]: profile["rows"] for profile in result["operators"]}
    layers = [row["layer"] for row in profiles["int8"]]
    assert {"Conv1", "block_1_project", "predictions"} <= set(layers)
    assert sum(row["op"] == "QLinearConv" for row in profiles["int8"]) == 52
