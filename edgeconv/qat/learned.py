"""A layer's weights while they are learned: real numbers that are rounded wherever they are used.

    kernel   w' = s_w round(w / s_w),   s_w[c] = max |w[c]| / 127
    bias     b' = s_b round(b / s_b),   s_b[c] = s_x s_w[c]

as the engines' own quantizers do it. Gradients pass the rounding as if it weren't there;
scales take none. What is learned is w over the largest weight that its channel began with,
and b over the range of the layer's output: one learning rate then means the same for every
channel, however large its numbers are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgeconv.types import Array

__all__ = ["Learned"]

_STEPS: Final = 127.0


@dataclass(frozen=True)
class Learned:
    """One layer's kernel, in the Keras layout, and its bias.

    Attributes:
        kernel: A variable, over ``kernel_unit``.
        kernel_unit: float32, broadcasts against the kernel.
        bias: A variable, over ``bias_unit``; None where the layer has none.
        bias_unit: What a bias of 1 stands for.
        input_scale: Of the activation that the layer reads.
        axes: Of the kernel, all but its channels.
    """

    kernel: Any
    kernel_unit: Array
    bias: Any
    bias_unit: float
    input_scale: float
    axes: tuple[int, ...]

    @classmethod
    def begin(
        cls,
        kernel: Array,
        bias: Array | None,
        *,
        depthwise: bool,
        input_scale: float,
        output_range: float,
    ) -> Learned:
        """Variables that hold these weights.

        Args:
            kernel: float32 in the Keras layout.
            bias: float32 [channels], or None.
            depthwise: The last two axes of ``kernel`` are channels, not the last alone.
            input_scale: Of the activation that the layer reads.
            output_range: Half of what the layer's output can hold.
        """
        import tensorflow as tf

        axes = tuple(range(kernel.ndim - (2 if depthwise else 1)))
        unit = np.abs(kernel).max(axis=axes, keepdims=True).astype(np.float32)
        unit[unit == 0] = 1.0
        own = None if bias is None else tf.Variable(bias / np.float32(output_range))
        return cls(tf.Variable(kernel / unit), unit, own, output_range, input_scale, axes)

    @property
    def variables(self) -> list[Any]:
        """What the optimizer changes."""
        return [self.kernel] if self.bias is None else [self.kernel, self.bias]

    def rounded_kernel(self) -> Any:
        """w', of the kernel's shape."""
        import tensorflow as tf

        kernel = self.kernel * self.kernel_unit
        scale = self._scale(kernel)
        return kernel + tf.stop_gradient(tf.round(kernel / scale) * scale - kernel)

    def rounded_bias(self) -> Any:
        """b', [channels]."""
        import tensorflow as tf

        bias = self.bias * self.bias_unit
        scale = self.input_scale * tf.reshape(self._scale(self.kernel * self.kernel_unit), [-1])
        return bias + tf.stop_gradient(tf.round(bias / scale) * scale - bias)

    def _scale(self, kernel: Any) -> Any:
        import tensorflow as tf

        most = tf.reduce_max(tf.abs(kernel), self.axes, keepdims=True)
        return tf.stop_gradient(tf.where(most > 0, most, _STEPS) / _STEPS)
