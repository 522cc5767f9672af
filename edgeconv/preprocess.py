"""Preprocess: from a picture or an array to what a model takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Preprocess"]


@dataclass(frozen=True)
class Preprocess:
    """The one description used for calibration, parity and on the device.

    Attributes:
        kind: ``image`` for pictures, ``array`` for anything else.
        height: Rows of the model's input; 0 for arrays.
        width: Columns of the model's input; 0 for arrays.
        color: Channel order that the model takes.
        resize: ``crop``: the shorter side to ``size / crop_fraction``, then the
            centre; ``stretch``: both sides to size; ``none``: only the right
            size is accepted.
        crop_fraction: Share of the resized shorter side that the crop keeps.
        filter: Resampling filter of the resize.
        layout: Axis order of the model's input.
        scale: Factor on the raw values (0..255 for pictures), one or one a channel.
        offset: Added after it, one or one a channel.
    """

    kind: Literal["image", "array"] = "image"
    height: int = 0
    width: int = 0
    color: Literal["rgb", "bgr", "gray"] = "rgb"
    resize: Literal["crop", "stretch", "none"] = "crop"
    crop_fraction: float = 0.875
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    layout: Literal["nhwc", "nchw"] = "nhwc"
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
