"""ONNX: lower, observe, quantize, run."""

from edgeconv.targets.onnx.target import ONNX

__all__ = ["ONNX"]
