"""infer.py is the runtime, all of it, in one file."""

import ast
import subprocess
import sys
from pathlib import Path

import edgeconv
from edgeconv.package.infer import MODULES, build_infer_script

ROOT = Path(edgeconv.__file__).parent


def test_every_runtime_module_is_in_it() -> None:
    there = {f"runtime/{path.stem}" for path in (ROOT / "runtime").glob("*.py")}
    assert there - {"runtime/__init__"} == {name for name in MODULES if name.startswith("runtime")}


def test_each_module_stands_after_those_that_it_uses() -> None:
    for position, module in enumerate(MODULES):
        tree = ast.parse((ROOT / f"{module}.py").read_text())
        used = {
            node.module.removeprefix("edgeconv.").replace(".", "/")
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgeconv.")
        }
        assert used <= set(MODULES[:position]), module


def test_it_imports_nothing_but_the_standard_library_numpy_pillow_and_engines() -> None:
    allowed = sys.stdlib_module_names | {"numpy", "PIL"}
    for node in ast.walk(ast.parse(build_infer_script())):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] in allowed


def test_it_is_the_same_every_time_and_its_names_are_all_defined(tmp_path: Path) -> None:
    script = tmp_path / "infer.py"
    script.write_text(build_infer_script())
    assert script.read_text() == build_infer_script()
    command = ["ruff", "check", "--isolated", "--select", "F", "--target-version", "py39"]
    done = subprocess.run([sys.executable, "-m", *command, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_grammar_is_that_of_python_3_9() -> None:
    tree = ast.parse(build_infer_script(), feature_version=(3, 9))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Match)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("zip", "dataclass"):
            assert not {word.arg for word in node.keywords} & {"strict", "slots", "kw_only"}
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
            assert not isinstance(node.args[1], ast.BinOp), ast.unparse(node)


def test_help_works_without_any_engine(tmp_path: Path) -> None:
    script = tmp_path / "infer.py"
    script.write_text(build_infer_script())
    # -I: no edgeconv from the current folder or PYTHONPATH.
    command = [sys.executable, "-I", str(script), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    assert "--self-test" in done.stdout
