"""The search for a recipe, through the real command line, on models that int8 can't keep.

``outlier`` needs a layer in float, ``rescaled`` equalized channels; see make_models.py.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.command import Outcome, edgeconv

HOOKS = Path(__file__).with_name("search_hooks.py")
MODELS = ("model.tflite", "model.onnx")


def order(models: Path, name: str, output: Path, *more: object) -> list[object]:
    return [
        "export", models / f"{name}.keras", "--preprocess", "unit", "--output", output,
        "--calibration", f"{models / 'colours.npz'}:train",
        "--parity", f"{models / 'colours.npz'}:test", *more,
    ]  # fmt: skip


def hooked(hook: str, arguments: list[object]) -> Outcome:
    command = [sys.executable, HOOKS, hook, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    return Outcome(done.returncode, done.stdout, done.stderr)


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


def sums(folder: Path, *names: str) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


@pytest.fixture(scope="module")
def recovered(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a search that ended with one layer in float; tests must not change it."""
    folder = tmp_path_factory.mktemp("recovered") / "outlier-int8"
    done = hooked("parity", order(models, "outlier", folder))
    assert done.code == 0, done.stderr
    assert "kept" in done.stdout and "1 layer in float" in done.stdout
    return folder


def test_the_one_layer_that_int8_loses_stays_in_float(recovered: Path) -> None:
    """Nor was the parity set read by any trial: the fixture's hook would have raised."""
    manifest, found = read_json(recovered / "manifest.json"), read_json(recovered / "recovery.json")
    tflite, onnx = manifest["artifacts"]

    assert [scope["layers"] for scope in manifest["recipe"]["scopes"]] == ["second"]
    assert tflite["float_operators"]["CONV_2D"] == 1 and onnx["float_operators"]["Conv"] == 1
    assert found["layers"][0]["name"] == "second"
    assert found["layers"][0]["formats"] == ["tflite", "onnx"]
    assert found["rungs"][0]["kept"] and found["rungs"][-1]["kept"]
    assert found["calibrated_on"] + found["held_back"] == 240
    for artifact in read_json(recovered / "verdict.json")["artifacts"]:
        assert artifact["metrics"]["agreement"] == 100.0


def test_the_recipe_gives_the_same_bytes_without_a_search(
    recovered: Path, models: Path, tmp_path: Path
) -> None:
    done = edgeconv(
        *order(models, "outlier", tmp_path / "b", "--recipe", recovered / "recipe.toml")
    )

    assert done.code == 0, done.stderr
    assert "try " not in done.stderr
    assert not (tmp_path / "b" / "recovery.json").exists()
    names = (*MODELS, "recipe.toml", "manifest.json", "verdict.json", "golden.npz")
    assert sums(tmp_path / "b", *names) == sums(recovered, *names)


@pytest.mark.long
def test_another_parity_set_changes_nothing_that_was_searched(
    recovered: Path, models: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (60, 16, 16, 3), np.uint8)
    np.savez(tmp_path / "other.npz", x=noise, y=rng.integers(0, 3, 60))
    done = edgeconv(*order(models, "outlier", tmp_path / "b", "--parity", tmp_path / "other.npz"))

    assert done.code in (0, 1), done.stderr
    names = (*MODELS, "recipe.toml", "recovery.json")
    assert sums(tmp_path / "b", *names) == sums(recovered, *names)


def test_explain_names_the_layer_and_the_rungs(recovered: Path) -> None:
    shown, told = edgeconv("explain", recovered), edgeconv("explain", recovered, "--json")
    found = json.loads(told.stdout)

    assert shown.code == told.code == 0, shown.stderr
    assert "In higher precision stayed:\n  second  fp32 in every format" in shown.stdout
    assert "where it alone is int8" in shown.stdout
    assert "plain int8" in shown.stdout
    (layer,) = found["layers"]
    assert (layer["name"], layer["precision"], layer["format"]) == ("second", "fp32", None)
    assert found["recovery"] == read_json(recovered / "recovery.json")


def test_explain_says_so_where_nothing_was_searched_for(bundle: Path) -> None:
    done = edgeconv("explain", bundle)

    assert done.code == 0, done.stderr
    assert "search   none" in done.stdout
    assert "No layer stayed in higher precision." in done.stdout


def test_the_report_and_the_seal_hold_the_search(recovered: Path) -> None:
    page = (recovered / "report.html").read_text()

    assert 'id="recovery"' in page and "1 layer in float" in page
    assert "recovery.json" in (recovered / "SHA256SUMS").read_text()
    assert "seconds" not in (recovered / "recovery.json").read_text()
    rungs = read_json(recovered / "recovery.json")["rungs"]
    assert len(read_json(recovered / "bench.json")["search"]) == len(rungs)


def test_channels_of_unlike_scale_are_equalized_and_stay_int8(models: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('passes = ["lift_channels", "correct_bias"]')
    without = edgeconv(*order(models, "rescaled", tmp_path / "without", "--recipe", recipe))
    plain = edgeconv(*order(models, "rescaled", tmp_path / "plain", "--effort", "fast", "--json"))

    assert without.code == 1 and not (tmp_path / "without" / "recovery.json").exists()
    assert plain.code == 0, plain.stderr
    made = read_json(tmp_path / "plain" / "manifest.json")["recipe"]
    assert "equalize" in made["passes"] and made["scopes"] == []
    artifacts = json.loads(plain.stdout)["verdict"]["artifacts"]
    assert all(a["metrics"]["agreement"] == 100.0 for a in artifacts)


def test_ctrl_c_in_the_search_goes_on_with_the_best_so_far(models: Path, tmp_path: Path) -> None:
    done = hooked("interrupt", order(models, "outlier", tmp_path / "b", "--effort", "best"))

    assert done.code == 1, "plain int8 is the best so far, and it loses"
    assert "going on with the best so far" in done.stderr
    assert read_json(tmp_path / "b" / "recovery.json")["ended"] == "interrupted"
    assert edgeconv("run", tmp_path / "b", "--help").code == 0


def test_a_second_ctrl_c_leaves_nothing(models: Path, tmp_path: Path) -> None:
    done = hooked("impatient", order(models, "outlier", tmp_path / "b"))

    assert done.code == 130
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_beyond_a_limit_fails(models: Path, tmp_path: Path) -> None:
    done = edgeconv(
        *order(models, "colours", tmp_path / "b", "--max-size-mb", "0.005", "--effort", "fast")
    )
    tflite, onnx = read_json(tmp_path / "b" / "verdict.json")["artifacts"]

    assert done.code == 1, done.stderr
    assert tflite["status"] != "fail"
    assert onnx["status"] == "fail" and "more than the 0.005 MB allowed" in onnx["reason"]
