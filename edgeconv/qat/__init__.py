"""Quantization-aware training: the weights of an int8 model, trained with its rounding."""

from edgeconv.qat.teach import Taught, most_items, teach
from edgeconv.qat.transfer import transfer_ranges, transfer_weights

__all__ = ["Taught", "most_items", "teach", "transfer_ranges", "transfer_weights"]
