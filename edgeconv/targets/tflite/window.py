"""How the convolutions of a TFLite file slide: their options as a ``Window``."""

from __future__ import annotations

from typing import Any, Final

from edgeconv.types import Window

__all__ = ["window_of"]

_KINDS: Final = ("CONV_2D", "DEPTHWISE_CONV_2D")


def window_of(
    kind: str, options: Any, channels: int, kernel_shape: tuple[int, ...]
) -> Window | None:
    """The window of an operator.

    Args:
        kind: The operator's type.
        options: Its ``Conv2DOptionsT`` or ``DepthwiseConv2DOptionsT``.
        channels: Of its input.
        kernel_shape: As the file has it.

    Returns:
        None for operators that are no plain convolution.
    """
    if kind not in _KINDS or options is None:
        return None
    same = options.padding == 0  # schema.fbs: enum Padding { SAME, VALID }
    depthwise = kind == "DEPTHWISE_CONV_2D"
    return Window(
        strides=(int(options.strideH), int(options.strideW)),
        dilations=(int(options.dilationHFactor), int(options.dilationWFactor)),
        pads=None if same else (0, 0, 0, 0),
        groups=channels if depthwise else channels // int(kernel_shape[-1]),
    )
