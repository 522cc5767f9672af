"""TFLite: lower with TensorFlow's converter, quantize with ai-edge-quantizer, run with LiteRT."""

from edgeconv.targets.tflite.target import TFLITE

__all__ = ["TFLITE"]
