"""The bundle's content: complete, sealed, and the same bytes every time."""

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeconv.errors import EdgeconvError, InternalError
from edgeconv.package import destination
from edgeconv.package.bundle import labels_text
from edgeconv.package.folder import BUNDLE_FILES
from edgeconv.quantize.recipe import read_recipe
from edgeconv.runtime.answers import read_labels
from edgeconv.types import Recipe
from tests import bundles


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("bundle"))


def test_all_files_of_the_contract_are_there_and_sealed(bundle: Path) -> None:
    rare = {"model.onnx.data", "recovery.json"}  # weights beyond 2 GiB; what was searched for
    assert sorted(p.name for p in bundle.iterdir()) == sorted(set(BUNDLE_FILES) - rare)
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(check, cwd=bundle, capture_output=True).returncode == 0
    listed = {line.split("  ")[1] for line in (bundle / "SHA256SUMS").read_text().splitlines()}
    assert listed == set(BUNDLE_FILES) - rare - {"SHA256SUMS"}


def test_the_same_model_gives_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    again = bundles.make_bundle(tmp_path)
    for path in bundle.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_no_path_of_this_machine_is_in_it(bundle: Path) -> None:
    for path in bundle.iterdir():
        assert str(bundle.parent).encode() not in path.read_bytes(), path.name


def test_the_recipe_and_the_verdict_are_as_they_were_given(bundle: Path) -> None:
    assert read_recipe(bundle / "recipe.toml") == Recipe(precision="fp32")
    assert json.loads((bundle / "verdict.json").read_text())["samples"] == 250


def test_golden_outputs_are_those_of_the_files_that_ship(bundle: Path) -> None:
    golden = np.load(bundle / "golden.npz")
    x = golden["input_0"]
    np.testing.assert_array_equal(x, bundles.golden_inputs())
    for file in ("model.tflite", "model.onnx"):
        np.testing.assert_allclose(golden[f"{file}.output_0"], bundles.logits(x), atol=1e-5)


def test_an_artifact_that_was_changed_since_does_not_ship(tmp_path: Path) -> None:
    tflite, onnx = bundles.artifacts(tmp_path)
    for wrong in ([replace(tflite, sha256="0" * 64)], [tflite, tflite]):
        with pytest.raises(InternalError):
            bundles.make_bundle(tmp_path, artifacts=wrong)
    assert not (tmp_path / "tiny-fp32").exists()
    assert bundles.make_bundle(tmp_path, artifacts=[onnx]).is_dir()


def test_an_artifact_that_does_not_open_does_not_ship(tmp_path: Path) -> None:
    broken = bundles.artifact(tmp_path / "a.tflite", "tflite", b"\0\0\0\0TFL3 broken")
    with pytest.raises(EdgeconvError):
        bundles.make_bundle(tmp_path, artifacts=[broken])
    assert not (tmp_path / "tiny-fp32").exists()


def test_a_model_without_labels_has_no_label_file(tmp_path: Path) -> None:
    bundle = bundles.make_bundle(tmp_path, source=bundles.source(labels=()))
    assert not (bundle / "labels.txt").exists()
    assert json.loads((bundle / "manifest.json").read_text())["labels"] is None


def test_labels_keep_their_lines_whatever_is_in_them() -> None:
    labels = (
        "tench, Tinca tinca",
        "two\nlines",
        "\x1b[2Jclear",
        "",
        "\u202eright",
        "\ud800",
        "猫 \U0001f431",
    )
    text = labels_text(labels)
    assert text.split("\n")[1] == "two lines"
    read = read_labels(text.encode())
    assert len(read) == len(labels)
    assert read[0] == labels[0]
    assert read[6] == labels[6]


def test_the_folder_is_named_after_model_and_precision() -> None:
    assert destination(None, "mobilenetv2", "int8") == Path("mobilenetv2-int8")
    assert destination(Path("x"), "mobilenetv2", "int8") == Path("x")


def test_the_seal_holds_what_is_in_the_files(bundle: Path) -> None:
    for line in (bundle / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == digest
