"""The embedded example through the real command line: needs nothing but the repository."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("sklearn", reason="the demo's digits come with scikit-learn")


class Demo(NamedTuple):
    folder: Path
    result: dict[str, Any]
    stderr: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "edgeconv", "demo", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Demo(folder, json.loads(done.stdout), done.stderr)


def test_the_demo_learns_the_digits_and_exports_a_bundle_that_passes(demo: Demo) -> None:
    assert demo.result["schema_version"] == 1
    assert demo.result["accuracy"] > 95
    bundle = demo.folder / demo.result["bundle"]
    verdict = json.loads((bundle / "verdict.json").read_text())
    assert {artifact["format"] for artifact in verdict["artifacts"]} == {"tflite", "onnx"}
    assert verdict["samples"] == 600
    assert verdict["status"] in ("pass", "inconclusive")
    for artifact in verdict["artifacts"]:
        assert artifact["metrics"]["agreement"] > 97
    assert (demo.folder / demo.result["report"]).read_text().lstrip().startswith("<!")


def test_the_demo_shows_each_command_and_where_the_report_lies(demo: Demo) -> None:
    shown = [line for line in demo.stderr.splitlines() if line.startswith("$ ")]
    assert [line.split()[1:3] for line in shown] == [["edgeconv", "export"], ["edgeconv", "run"]]
    assert f"The report:          {demo.result['report']}" in demo.stderr
    assert "Traceback" not in demo.stderr


@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_the_demos_bundle_reads_its_pictures_on_either_engine(demo: Demo, engine: str) -> None:
    script = demo.folder / demo.result["bundle"] / "infer.py"
    pictures = sorted((demo.folder / "demo-out" / "pictures").glob("digit-*.png"))
    command = [sys.executable, str(script), *map(str, pictures), "--engine", engine, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=demo.folder)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)["results"]
    assert [answer["top"][0]["label"] for answer in answers] == [
        picture.stem.removeprefix("digit-") for picture in pictures
    ]


@pytest.mark.long
def test_the_demo_twice_gives_the_same_files(demo: Demo, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgeconv", "demo", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    dated = {"bench.json", "report.html", "SHA256SUMS"}
    files = {
        path.relative_to(demo.folder)
        for path in demo.folder.rglob("*")
        if path.is_file() and path.name not in dated
    }
    different = [f for f in files if (demo.folder / f).read_bytes() != (tmp_path / f).read_bytes()]
    assert different == []
