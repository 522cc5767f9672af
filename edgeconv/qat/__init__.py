"""Quantization-aware training: the weights of an int8 model, trained with its rounding."""

from edgeconv.qat.teach import Taught, most_items, teach, transfer

__all__ = ["Taught", "most_items", "teach", "transfer"]
