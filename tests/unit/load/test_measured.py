"""What docs/zoo.json tells the list of models."""

import json

import pytest

from edgeconv.load.measured import measured


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
