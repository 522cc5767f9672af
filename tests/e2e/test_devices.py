"""``edgeconv export --device``: what follows from a device, and what it refuses when."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeconv.device import device_names, find_device
from tests.e2e.command import Outcome

Run = Callable[..., Outcome]
PROFILES = Path(__file__).resolve().parents[2] / "devices"


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


def check_bundle(done: Outcome, bundle: Path, name: str) -> dict:
    """What every export for a device must have left."""
    device = find_device(name)
    assert done.code == 0, done.stderr
    assert f"{name}: " in done.stderr and device.default_reason in done.stderr
    manifest = read_json(bundle / "manifest.json")
    assert [a["format"] for a in manifest["artifacts"]] == list(device.formats)
    assert manifest["precision"] == device.default_precision
    assert manifest["device"]["name"] == name
    assert manifest["device"]["engine"] == device.runtime.engine
    assert manifest["device"]["version"] == device.runtime.version
    assert f"Made for {name}" in (bundle / "README.md").read_text()
    if device.default_precision == "int8":
        dtype = manifest["artifacts"][0]["inputs"][0]["dtype"]
        assert dtype == manifest["artifacts"][0]["outputs"][0]["dtype"] == device.int8.io_dtype
    return manifest


@pytest.mark.long
@pytest.mark.parametrize("name", sorted({*device_names()} - {"jetson-orin"}))
def test_a_device_needs_no_other_flag(
    run: Run, models: Path, pictures: Path, tmp_path: Path, name: str
) -> None:
    done = run(
        "export", models / "colours.keras", "--preprocess", "unit", "--calibration", pictures,
        "--device", name, "--output", "out",
    )  # fmt: skip

    manifest = check_bundle(done, tmp_path / "out", name)
    device = find_device(name)
    for artifact in manifest["artifacts"]:
        assert not device.int8 or not device.int8.integer_only or not artifact["float_operators"]
    assert device.next_step in done.stdout
    threads = read_json(tmp_path / "out" / "bench.json")["artifacts"][0]["threads"]
    assert 1 <= threads <= device.runtime.threads


def test_tensorrt_gets_signed_integers_around_zero(
    run: Run, models: Path, pictures: Path, tmp_path: Path
) -> None:
    import onnx
    from onnx import numpy_helper

    done = run(
        "export", models / "colours.keras", "--preprocess", "unit", "--calibration", pictures,
        "--device", "jetson-orin", "--output", "out",
    )  # fmt: skip

    manifest = check_bundle(done, tmp_path / "out", "jetson-orin")
    assert manifest["recipe"]["onnx_activations"] == "signed"
    model = onnx.load(tmp_path / "out" / "model.onnx")
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    pairs = [n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    zeros = [constants[node.input[2]] for node in pairs if len(node.input) > 2]
    assert pairs and all(zero.dtype == "int8" and not zero.any() for zero in zeros)


@pytest.mark.parametrize(
    ("arguments", "cause", "code"),
    [
        (["--device", "coral-edgetpu", "--fp32"], "coral-edgetpu runs no fp32.", 4),
        (["--device", "gpu-cuda", "--dynamic"], "gpu-cuda runs no dynamic.", 4),
        (["--device", "raspberrypi5", "--format", "onnx"], "opens no ONNX files.", 4),
        (["--device", "rasberrypi4"], "There is no device 'rasberrypi4'.", 2),
        (["--device", "absent.toml"], "There is no device profile 'absent.toml'.", 2),
    ],
)
def test_a_contradiction_is_one_line_before_anything_is_loaded(
    run: Run, models: Path, arguments: list[str], cause: str, code: int
) -> None:
    done = run("export", models / "colours.keras", "--preprocess", "unit", *arguments)

    assert done.code == code
    cause_line, hint = done.stderr.splitlines()
    assert cause_line.startswith("edgeconv: ") and cause_line.endswith(cause)
    assert hint.strip() and "load" not in done.stderr


@pytest.mark.long
def test_an_operator_that_lowering_keeps_is_refused_before_lowering(
    run: Run, models: Path, pictures: Path, tmp_path: Path
) -> None:
    text = (PROFILES / "raspberrypi4.toml").read_text()
    (tmp_path / "board.toml").write_text(text.replace("except = []", 'except = ["TRANSPOSE_CONV"]'))

    done = run(
        "export", models / "upscaled.keras", "--preprocess", "unit", "--calibration", pictures,
        "--device", tmp_path / "board.toml", "--output", "out",
    )  # fmt: skip

    assert done.code == 4
    assert "edgeconv: board has no TRANSPOSE_CONV at the layer 'up'." in done.stderr
    assert "✓ lower" not in done.stderr and "✓ calibrate" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_operator_of_the_lowered_graph_is_refused_before_calibration(
    run: Run, models: Path, pictures: Path, tmp_path: Path
) -> None:
    done = run(
        "export", models / "smooth.keras", "--preprocess", "unit", "--calibration", pictures,
        "--device", "cortex-m", "--output", "out", "--json",
    )  # fmt: skip

    assert done.code == 4
    error = json.loads(done.stdout)["error"]
    assert error["message"] == "cortex-m has no GELU at the layer 'smooth'."
    assert "✓ calibrate" not in done.stderr and not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_layer_without_an_integer_form_is_refused_where_all_must_be_integer(
    run: Run, models: Path, pictures: Path
) -> None:
    done = run(
        "export", models / "bent.keras", "--preprocess", "unit", "--calibration", pictures,
        "--device", "coral-edgetpu", "--output", "out",
    )  # fmt: skip

    assert done.code == 4
    assert "PRELU at the layer 'bend' has no int8 form" in done.stderr
    assert "✓ calibrate" not in done.stderr


@pytest.mark.long
def test_explicit_flags_win_where_the_device_runs_them(
    run: Run, models: Path, pictures: Path, tmp_path: Path
) -> None:
    done = run(
        "export", models / "colours.keras", "--preprocess", "unit", "--calibration", pictures,
        "--device", "gpu-cuda", "--int8", "--output", "out",
    )  # fmt: skip

    assert done.code == 0, done.stderr
    assert "ONNX int8 as asked for; it runs fp16 best, because int8 is no gain" in done.stderr
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert (manifest["precision"], manifest["device"]["name"]) == ("int8", "gpu-cuda")
