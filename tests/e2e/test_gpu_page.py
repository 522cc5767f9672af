"""docs/gpu.md: its commands parse, and run as they stand where ON=cpu."""

import argparse
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.gpu_page import PAGE, ROOT, SET_UP, commands, expanded, runnable


def edgeconv_parser(name: str) -> argparse.ArgumentParser:
    module = importlib.import_module(f"edgeconv.cli.{name}")
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.configure(parser)
    return parser


def gpu_parser() -> argparse.ArgumentParser:
    spec = importlib.util.spec_from_file_location("gpu_benchmark", ROOT / "benchmarks" / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_benchmark"] = module
    spec.loader.exec_module(module)
    return module._parser()


def test_the_page_has_its_parts() -> None:
    page, text = commands(), "\n".join(commands())
    assert len(page) >= 12 and sum(line.startswith(SET_UP) for line in page) == 3
    for part in ("--device gpu-cuda", "--device gpu-tensorrt", "agree", "throughput", "--bind",
                 "tensorrt<11", "--target triton", "onnxruntime-gpu[cuda,cudnn]"):  # fmt: skip
        assert part in text, part
    assert "We have not run this page on a GPU" in PAGE.read_text()


def test_one_variable_replaces_every_device() -> None:
    for line in runnable():
        without = re.sub(r"\$\{ON:-\w+\}|--device gpu-\w+", "", line)
        assert not re.search(r"[@ ](cuda|tensorrt)\b(?!\.)", without), line


def test_every_variable_of_the_commands_is_in_the_table() -> None:
    used = set(re.findall(r"\$\{(\w+)", "\n".join(commands())))
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    assert used == told


@pytest.mark.parametrize("line", runnable())
def test_a_command_parses(line: str) -> None:
    program, *words = expanded(line)
    if program.endswith("/python"):
        assert words.pop(0) == "benchmarks/gpu.py"
        gpu_parser().parse_args(words)
    else:
        assert program in ("convert/bin/edgeconv", "gpu/bin/edgeconv")
        edgeconv_parser(words[0]).parse_args(words[1:])


@pytest.mark.long
def test_the_commands_run_as_they_stand(shared_data: Path, tmp_path: Path) -> None:
    """With MobileNetV2, the 250 evaluation pictures, two batch sizes, and the CPU for the GPU."""
    for name in ("convert", "gpu"):
        (tmp_path / name).symlink_to(sys.prefix)
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    environment = {
        **os.environ,
        "ON": "cpu",
        "MODEL": f"{shared_data / 'models' / 'mobilenetv2_imagenet.keras'} --preprocess tf",
        "DATA": f"{shared_data / 'imagenet-sample' / 'manifest.csv'}:evaluation",
        "BATCH": "1,2",
    }
    said = {}
    for line in runnable():
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        said[line] = done.stdout
    agreed = [text for line, text in said.items() if " agree " in line]
    differ = [int(re.search(r"(\d+) of 250 answers differ", text)[1]) for text in agreed]
    assert differ[0] <= 1 and differ[1] <= 25
    rows = json.loads((tmp_path / "cuda.json").read_text())["rows"]
    assert {(r["precision"], r["batch"], r["bound"]) for r in rows} == {
        (p, b, bound) for p in ("fp32", "fp16") for b in (1, 2) for bound in (True, False)
    }
    assert (tmp_path / "tensorrt.svg").read_text().startswith("<svg")
    assert len(list((tmp_path / "triton-models").rglob("config.pbtxt"))) == 1
