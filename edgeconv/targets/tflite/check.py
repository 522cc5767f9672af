"""Check: a conversion that returned is not yet one that worked."""

from __future__ import annotations

import re
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
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    content = path.read_bytes()
    try:
        Interpreter(model_content=content, experimental_op_resolver_type=plain).allocate_tensors()
    except (RuntimeError, ValueError) as error:
        path.unlink()
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise Unsupported(
            f"TFLite's kernels can't run {what}{_place(cause, layers)}: {cause}", hint
        ) from error


def _place(cause: str, layers: Sequence[Layer]) -> str:
    """The layer of ``Node number 7 (CONV_2D)``, where no operator was put before it."""
    found = re.search(r"Node number (\d+) \((\w+)\)", cause)
    number = int(found[1]) if found else -1
    if found and number < len(layers) and layers[number].op == found[2]:
        return f" at the layer {layers[number].name!r}"
    return ""
