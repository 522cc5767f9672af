"""TFLite: lower, observe, quantize, run."""
