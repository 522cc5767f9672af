"""ONNX: lower, observe, quantize, run."""
