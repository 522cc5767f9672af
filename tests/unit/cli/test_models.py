import json
import subprocess
import sys

import pytest

from edgeconv.cli import main
from edgeconv.load.zoo import ZOO


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_the_table_lists_every_model_with_its_figures(capsys):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    for model in ZOO:
        row = next(line.split() for line in out.splitlines() if line.split()[:1] == [model.name])
        assert row[1:3] == [str(model.input_size), f"{model.parameters:,}"]
        assert f"{model.top1:.1f}" in row and f"{model.parameters * 4 / 1e6:.1f}" in row


def test_the_table_fits_a_terminal_of_80_columns(capsys):
    main(["models"])
    rows = [line for line in capsys.readouterr().out.splitlines() if "cached: " not in line]
    assert max(map(len, rows)) <= 80


def test_weights_in_the_cache_are_marked(capsys, cache):
    (cache / "convnext_tiny.h5").write_bytes(b"")
    main(["models"])
    marked = [line.split()[0] for line in capsys.readouterr().out.splitlines() if " yes" in line]
    assert marked == ["convnexttiny"]


def test_what_was_not_measured_is_not_called_converted(capsys, monkeypatch):
    row = {"tflite-fp32": "pass", "tflite-int8": "pass", "onnx-fp32": "pass", "onnx-int8": "fail"}
    monkeypatch.setattr("edgeconv.cli.models.measured", lambda: {"vgg16": row})
    main(["models"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert next(row for row in rows if row[:1] == ["vgg16"])[-3:] == ["3", "of", "4"]
    assert next(row for row in rows if row[:1] == ["vgg19"])[-1] == "-"

    main(["models", "--json"])
    said = {m["name"]: m["converts"] for m in json.loads(capsys.readouterr().out)["models"]}
    assert said["vgg16"] == row and said["vgg19"] == "not measured"


def test_json_is_one_object_with_every_model(capsys, cache):
    (cache / "convnext_tiny.h5").write_bytes(b"")
    assert main(["models", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema_version"] == 1 and answer["cache"] == str(cache)
    assert [model["name"] for model in answer["models"]] == [model.name for model in ZOO]
    assert [m["name"] for m in answer["models"] if m["cached"]] == ["convnexttiny"]
    b7 = next(m for m in answer["models"] if m["name"] == "efficientnetb7")
    assert (b7["input_size"], b7["top1"], b7["top5"]) == (600, 84.3, 97.0)


def test_the_list_needs_neither_tensorflow_nor_keras():
    code = (
        "import sys; from edgeconv.cli import main; code = main(['models'])\n"
        "assert code == 0 and not {'tensorflow', 'keras', 'tf2onnx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
