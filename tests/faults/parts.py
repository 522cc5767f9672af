"""One layer of an int8 model file, in a form that both formats share."""

from dataclasses import dataclass

import numpy as np

from edgeconv.types import Array


@dataclass(frozen=True)
class Parts:
    """What a layer with a kernel consists of.

    Attributes:
        kernel: int8 [O, H, W, I] (depthwise: I = 1), or [O, I].
        scales: float32 [O], the size of the kernel's steps.
        bias: int32 [O], in steps of input scale times kernel scale.
        scale: Size of a step of the output; None where the output is float.
        zero_point: Of the output, counted from the lowest integer (0..255).
    """

    kernel: Array
    scales: Array
    bias: Array
    scale: float | None
    zero_point: int

    @property
    def real_kernel(self) -> Array:
        """float32, the kernel in real units."""
        shape = (-1,) + (1,) * (self.kernel.ndim - 1)
        return np.asarray(self.kernel * self.scales.reshape(shape), np.float32)
