"""Random models that behave like trained ones (runs in the workshop).

    BatchNorm: mean 0, variance 1  ->  mean and variance of what it sees

Fresh from its constructor, a deep network lets its signal fade: MobileNetV2's
outputs differ by 1e-12 from picture to picture, which no integer can follow.
Training would have taught each BatchNorm the statistics of its input; one pass
over noise does that too.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgeconv.preprocess import Preprocess, normalize
from edgeconv.types import Array

__all__ = ["noise", "settle_norms"]

_PICTURES: Final = 4
#: Pixels of one colour side by side: like pictures, and unlike white noise, it survives pooling.
_BLOCK: Final = 16


def noise(preprocess: Preprocess, seed: int) -> Array:
    """Blocks of random colours, as the model takes them: float32 [4, H, W, 3]."""
    height, width = preprocess.height, preprocess.width
    shape = (_PICTURES, -(-height // _BLOCK), -(-width // _BLOCK), 3)
    colours = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    pixels = colours.repeat(_BLOCK, axis=1).repeat(_BLOCK, axis=2)[:, :height, :width]
    return normalize(preprocess, pixels)


def settle_norms(model: Any, x: Array) -> None:
    """Give every BatchNorm of a Keras model the statistics of its input where the model sees x.

    Args:
        model: Changed in place.
        x: float32 [N, H, W, C], ready for the model.
    """
    import keras

    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the new statistics replace the old ones
    model(x, training=True)
