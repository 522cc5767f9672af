"""Pictures changed at random: mirrored, cropped and shifted, lighter or darker, paler.

Runs in the workshop. All that is random follows from the seed alone, so that a resumed run
sees the same pictures as one that went through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from edgeconv.preprocess import Preprocess

__all__ = ["changed", "inputs"]

#: Side of the part that is kept, as a share of the picture's, at the least.
_LEAST_SIDE: Final = 0.75
#: Of contrast and colour, at the most each way; of brightness, in steps of 0..255.
_CONTRAST: Final = 0.2
_BRIGHTNESS: Final = 25.0
#: Luma of red, green and blue. Source: ITU-R BT.601.
_LUMA: Final = (0.299, 0.587, 0.114)


def changed(pictures: Any, seed: Any, *, mirror: bool = True) -> Any:
    """Each picture mirrored or not, a part of it at full size, with other light and colour.

    Args:
        pictures: Tensor [N, H, W, 3], 0..255.
        seed: int32 tensor [2].
        mirror: Whether left and right may change places.

    Returns:
        float32 tensor [N, H, W, 3], 0..255.
    """
    import tensorflow as tf

    count, size = tf.shape(pictures)[0], tf.shape(pictures)[1:3]
    random = tf.random.stateless_uniform([8, count], seed)
    side = _LEAST_SIDE + (1 - _LEAST_SIDE) * random[0]
    top, left = random[1] * (1 - side), random[2] * (1 - side)
    ends = [left, left + side]
    mirrored = random[3] < (0.5 if mirror else 0.0)
    first, second = (tf.where(mirrored, ends[1 - i], ends[i]) for i in (0, 1))
    boxes = tf.stack([top, first, top + side, second], axis=1)
    x = tf.image.crop_and_resize(pictures, boxes, tf.range(count), size)
    each = random[:, :, tf.newaxis, tf.newaxis, tf.newaxis]
    mean = tf.reduce_mean(x, axis=[1, 2, 3], keepdims=True)
    x = mean + (x - mean) * _around_one(each[4])
    grey = tf.reduce_sum(x * tf.constant(_LUMA), axis=3, keepdims=True)
    x = grey + (x - grey) * _around_one(each[5])
    return tf.clip_by_value(x + _BRIGHTNESS * (2 * each[6] - 1), 0.0, 255.0)


def _around_one(uniform: Any) -> Any:
    return 1 + _CONTRAST * (2 * uniform - 1)


def inputs(preprocess: Preprocess, pictures: Any) -> Any:
    """``preprocess.normalize`` as tensors: what the model takes.

    Args:
        preprocess: Of pictures, channels last.
        pictures: Tensor [N, H, W, 3], RGB, 0..255.

    Returns:
        float32 tensor of the same shape.
    """
    import tensorflow as tf

    x = tf.cast(pictures, tf.float32)
    if preprocess.color == "bgr":
        x = tf.reverse(x, axis=[3])
    return x * _constant(preprocess.scale) + _constant(preprocess.offset)


def _constant(numbers: Sequence[float]) -> Any:
    import tensorflow as tf

    return tf.constant(numbers, tf.float32)
