"""infer.py: the runtime as one script that needs no edgeconv.

The modules below are put one after the other in the order of their
dependencies; imports of each other, module docstrings and ``__all__`` go, and
what they import from outside is gathered at the top. The code itself, with its
comments, is what the tests ran.
"""

from __future__ import annotations

import ast
from importlib import resources

from edgeconv import __version__
from edgeconv.errors import InternalError

__all__ = ["MODULES", "build_infer_script"]

#: Each after those that it uses.
MODULES = (
    "errors",
    "pictures",
    "preprocess",
    "types",
    "runtime/text",
    "runtime/quiet",
    "runtime/affine",
    "runtime/matching",
    "runtime/gpu",
    "runtime/onnx_wire",
    "runtime/providers",
    "runtime/tflite_file",
    "runtime/onnx_file",
    "runtime/engines",
    "runtime/arrays",
    "runtime/checksums",
    "runtime/manifest",
    "runtime/answers",
    "runtime/inputs",
    "runtime/session",
    "runtime/replay",
    "runtime/operators",
    "runtime/measure",
    "runtime/options",
    "runtime/show",
    "runtime/script",
)
#: The device needs nothing else of types.py.
_WANTED_TYPES = ("Array", "Shape", "TensorSpec")

_HEADER = '''\
#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Made by edgeconv {version}. Don't edit: SHA256SUMS would no longer match.
"""Run the model of this folder on pictures or .npy arrays.

    python infer.py INPUT... [--top 5] [--engine NAME] [--json]
    python infer.py --self-test
    python infer.py --inputs-npz X.npz --outputs-npz Y.npz [--json]
    python infer.py --bench [--threads 4] [--json]

Needs Python 3.9 or later, NumPy, Pillow, and one engine: ai-edge-litert,
tflite-runtime (with numpy<2), onnxruntime, or onnxruntime-gpu for --device.
"""
'''
_FOOTER = """

if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent))
"""


def build_infer_script() -> str:
    """The text of infer.py; the same edgeconv gives the same bytes.

    Raises:
        InternalError: Two modules use one name for two things.
    """
    imports = _Imports()
    owners: dict[str, str] = {}
    bodies = []
    for module in MODULES:
        source = resources.files("edgeconv").joinpath(f"{module}.py").read_text("utf-8")
        body, names = _body(module, source, imports)
        for name in names:
            if owners.setdefault(name, module) != module:
                raise InternalError(f"infer.py: {module} and {owners[name]} both define {name}.")
        bodies.append(f"\n\n# {module}.py\n\n{body}\n")
    header = _HEADER.format(version=__version__)
    return (
        header
        + "\nfrom __future__ import annotations\n\n"
        + imports.text()
        + "".join(bodies)
        + _FOOTER
    )


class _Imports:
    """What all modules together import from outside edgeconv."""

    def __init__(self) -> None:
        self._plain: set[str] = set()
        self._from: dict[str, set[str]] = {}

    def add(self, node: ast.Import | ast.ImportFrom) -> None:
        """Take one import statement in; those of edgeconv itself only vanish."""
        if isinstance(node, ast.Import):
            self._plain.update(ast.unparse(alias) for alias in node.names)
            return
        module = node.module or ""
        if module == "__future__":
            return
        if module.split(".")[0] != "edgeconv":
            self._from.setdefault(module, set()).update(ast.unparse(a) for a in node.names)
        elif module == "edgeconv" or any(alias.asname for alias in node.names):
            raise InternalError(f"infer.py: line {node.lineno} imports edgeconv by another name.")

    def text(self) -> str:
        """The statements: plain ones first, each group sorted."""
        lines = [f"import {name}" for name in sorted(self._plain)]
        lines += [
            f"from {module} import {', '.join(sorted(names))}"
            for module, names in sorted(self._from.items())
        ]
        return "\n".join(lines) + "\n"


def _body(module: str, source: str, imports: _Imports) -> tuple[str, list[str]]:
    """A module's own code without what only a module needs, and the names it defines."""
    lines = source.splitlines()
    names: list[str] = []
    for index, node in enumerate(ast.parse(source).body):
        defined = _defined(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            # What types.py imports by name is for the nouns that stay at home.
            if module != "types" or isinstance(node, ast.Import):
                imports.add(node)
        elif _ships(module, index, node, defined):
            names += defined
            continue
        _blank(lines, node)
    if module == "types":  # comments of those nouns
        lines = [line for line in lines if not line.startswith("#")]
    return _tidy(lines), names


def _ships(module: str, index: int, node: ast.stmt, defined: list[str]) -> bool:
    if index == 0 and isinstance(node, ast.Expr):  # the module's docstring
        return False
    if module == "types":
        return bool(set(defined) & set(_WANTED_TYPES))
    return defined != ["__all__"]


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    if isinstance(node, ast.Assign):
        return [name.id for name in node.targets if isinstance(name, ast.Name)]
    return []


def _blank(lines: list[str], node: ast.stmt) -> None:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])
    for number in range(first - 1, node.end_lineno or first):
        lines[number] = ""


def _tidy(lines: list[str]) -> str:
    """At most two empty lines in a row, none at the ends."""
    kept: list[str] = []
    for line in lines:
        if line.strip() or kept[-2:] != ["", ""]:
            kept.append(line.rstrip())
    return "\n".join(kept).strip("\n")
