"""Importing edgeconv is cheap: what is heavy is imported where it is used."""

import json
import pkgutil
import subprocess
import sys

import pytest

import edgeconv

# TensorFlow and the converters belong to the child process; engines, ONNX and what draws or
# decodes are imported inside the functions that need them.
HEAVY = (
    *("tensorflow", "keras", "tf2onnx", "h5py"),
    *("onnx", "onnxruntime", "ai_edge_litert", "ai_edge_quantizer", "tflite_runtime"),
    *("PIL", "rich", "sklearn", "scipy", "matplotlib"),
)

# `python -m` on these runs the program instead of defining it.
PROGRAMS = {"edgeconv.__main__"}


def _modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after ``code``."""
    script = f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def _all_modules() -> list[str]:
    found = pkgutil.walk_packages(edgeconv.__path__, "edgeconv.")
    return [module.name for module in found if module.name not in PROGRAMS]


@pytest.mark.parametrize("module", ["edgeconv", "edgeconv.cli", "edgeconv.runtime"])
def test_an_entrance_imports_nothing_heavy(module: str) -> None:
    assert not _modules_after(f"import {module}").intersection(HEAVY)


def test_no_module_imports_anything_heavy() -> None:
    imports = "\n".join(f"import {name}" for name in _all_modules())
    assert not _modules_after(imports).intersection(HEAVY)


def test_help_does_not_even_import_numpy() -> None:
    held = _modules_after("from edgeconv.cli import main\nmain(['--help'])")
    assert not held & {"numpy", *HEAVY}
