"""How the convolutions of an ONNX file slide: their attributes as a ``Window``.

Source: https://onnx.ai/onnx/operators/onnx__Conv.html
"""

from __future__ import annotations

from edgeconv.targets.onnx.kernels import attribute
from edgeconv.targets.onnx.model import Node
from edgeconv.types import Window

__all__ = ["window_of"]


def window_of(node: Node, spatial: int) -> Window | None:
    """The window of a node.

    Args:
        node: Any.
        spatial: How many spatial axes its kernel has.

    Returns:
        None for operators that are no plain convolution, and for ``SAME_LOWER``.
    """
    padding = next((a.s.decode() for a in node.attribute if a.name == "auto_pad"), "NOTSET")
    if node.op_type != "Conv" or padding == "SAME_LOWER":
        return None
    explicit = padding != "SAME_UPPER"
    return Window(
        strides=_integers(node, "strides", (1,) * spatial),
        dilations=_integers(node, "dilations", (1,) * spatial),
        pads=_integers(node, "pads", (0,) * 2 * spatial) if explicit else None,
        groups=attribute(node, "group", 1),
        channel_axis=1,
    )


def _integers(node: Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    return next((tuple(map(int, a.ints)) for a in node.attribute if a.name == name), default)
