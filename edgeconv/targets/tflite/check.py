"""Check: a conversion that returned is not yet one that worked."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgeconv.errors import Unsupported
from edgeconv.types import Layer

__all__ = ["refuse_unrunnable"]


def refuse_unrunnable(path: Path, what: str, layers: Sequence[Layer], hint: str) -> None:
    """Prepare every kernel of the file, and remove a file that can't run.

    Args:
        path: The file.
        what: What it is, for the message: ``the float model``.
        layers: Of the float graph, to name the layer at fault.
        hint: What to do about it.

    Raises:
        Unsupported: A kernel refuses its tensors.
    """
    cause = _refusal(path)
    if cause:
        path.unlink()
        raise Unsupported(
            f"TFLite's kernels can't run {what}{_place(cause, layers)}: {cause}", hint
        )


#: The interpreter aborts on some tensors instead of refusing them, so it stands apart.
_PREPARE = """
import sys
from ai_edge_litert.interpreter import Interpreter, OpResolverType
plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
with open(sys.argv[1], "rb") as file:
    content = file.read()
try:
    Interpreter(model_content=content, experimental_op_resolver_type=plain).allocate_tensors()
except (RuntimeError, ValueError) as error:
    sys.exit("refused: " + " ".join(str(error).split()))
"""


def _refusal(path: Path) -> str:
    """Why the plain interpreter can't prepare the file; "" where it can."""
    command = [sys.executable, "-c", _PREPARE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return ""
    ended = f"the interpreter ended with code {done.returncode}"
    lines = done.stderr.strip().splitlines() or [ended]
    found = [line.removeprefix("refused: ") for line in lines if line.startswith("refused: ")]
    return (found or lines)[-1][:300]


def _place(cause: str, layers: Sequence[Layer]) -> str:
    """The layer of ``Node number 7 (CONV_2D)``, where no operator was put before it."""
    found = re.search(r"Node number (\d+) \((\w+)\)", cause)
    number = int(found[1]) if found else -1
    if found and number < len(layers) and layers[number].op == found[2]:
        return f" at the layer {layers[number].name!r}"
    return ""
