"""What docs/zoo.json tells the list of models."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgeconv.load.measured import CELLS, measured
from edgeconv.load.zoo import ZOO

ROOT = Path(__file__).resolve().parents[3]


def test_each_cell_has_its_status(tmp_path):
    file = tmp_path / "zoo.json"
    rows = {"vgg16": {"tflite-fp32": {"status": "pass"}, "onnx-int8": {"status": "fail"}, "x": 1}}
    file.write_text(json.dumps({"schema_version": 1, "models": rows}))

    assert measured(file) == {"vgg16": {"tflite-fp32": "pass", "onnx-int8": "fail"}}


def test_without_the_table_nothing_is_measured(tmp_path):
    assert measured(tmp_path / "zoo.json") == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"models": [1]}', '{"models": {"vgg16": 3}}'])
def test_a_broken_table_is_none(tmp_path, text):
    (tmp_path / "zoo.json").write_text(text)

    assert measured(tmp_path / "zoo.json") == {}


def test_the_committed_table_has_models_of_the_catalogue_with_all_their_cells():
    rows = measured(ROOT / "docs" / "zoo.json")
    assert rows and set(rows) <= {model.name for model in ZOO}
    for name, cells in rows.items():
        assert set(cells) == set(CELLS), name
        assert set(cells.values()) <= {"pass", "fail", "error"}, name


def test_wheel_carries_the_table(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling builds the wheel that is looked into")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    # Only the wheel's own copy is on this path, so an answer proves that it was found.
    code = "import json; from edgeconv.load.measured import measured; print(json.dumps(measured()))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "site", capture_output=True, text=True
    )
    assert json.loads(run.stdout) == measured(ROOT / "docs" / "zoo.json"), run.stderr
