"""Targets: the formats, each behind the same protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edgeconv.targets.base import Target
from edgeconv.targets.onnx import ONNX
from edgeconv.targets.tflite import TFLITE
from edgeconv.types import Format

__all__ = ["TARGETS", "Target"]

TARGETS: Final[Mapping[Format, Target]] = {"tflite": TFLITE, "onnx": ONNX}
