"""What can go wrong in one layer, as functions Parts -> Parts.

Each is a mistake that converters and hands have made: a table in the wrong
order, a tensor left out, a number read with another's scale.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from tests.faults.parts import Parts

LayerFault = Callable[[Parts], Parts]


def kernel_scale_doubled(parts: Parts) -> Parts:
    """Every step counts twice: of the kernel, and so of the bias."""
    return replace(parts, scales=parts.scales * 2)


def kernel_zero_point_off(parts: Parts) -> Parts:
    """The kernel was stored with zero point 8, the file says 0."""
    return replace(parts, kernel=np.clip(parts.kernel.astype(np.int16) + 8, -128, 127))


def input_zero_point_off(parts: Parts) -> Parts:
    """The layer reads its input with a zero point that is 8 too high.

    sum w (x - (z + 8)) = sum w (x - z) - 8 sum w, which is a change of the bias.
    """
    sums = parts.kernel.reshape(len(parts.kernel), -1).astype(np.int64).sum(axis=1)
    return replace(parts, bias=parts.bias - 8 * sums)


def output_zero_point_off(parts: Parts) -> Parts:
    """The output's zero point is 8 more on both sides: 8 steps are missing at the top."""
    return replace(parts, zero_point=min(255, parts.zero_point + 8))


def scales_permuted(parts: Parts) -> Parts:
    """The table of scales is one channel off."""
    return replace(parts, scales=np.roll(parts.scales, 1))


def bias_dropped(parts: Parts) -> Parts:
    return replace(parts, bias=np.zeros_like(parts.bias))


def bias_permuted(parts: Parts) -> Parts:
    return replace(parts, bias=np.roll(parts.bias, 1))


def range_clipped(parts: Parts) -> Parts:
    """The output holds a quarter of what it should; zero stays where it was."""
    assert parts.scale is not None
    return replace(parts, scale=parts.scale / 4)


def four_bits(parts: Parts) -> Parts:
    """16 steps instead of 256, of the same range."""
    coarse = np.clip(np.rint(parts.kernel / 16.0), -8, 7) * 16
    return replace(parts, kernel=coarse)


def channels_permuted(parts: Parts) -> Parts:
    """The kernel's output channels are one off, scales and bias are not."""
    return replace(parts, kernel=np.roll(parts.kernel, 1, axis=0))


def zeroed(parts: Parts) -> Parts:
    """The kernel was never loaded."""
    return replace(parts, kernel=np.zeros_like(parts.kernel))


def outlier_scale(parts: Parts) -> Parts:
    """One channel, the strongest, counts sixteen times."""
    power = (parts.real_kernel.reshape(len(parts.kernel), -1) ** 2).sum(axis=1)
    worst = int(np.argmax(power))
    scales = parts.scales.copy()
    scales[worst] *= 16
    return replace(parts, scales=scales)


def rows_and_columns_swapped(parts: Parts) -> Parts:
    """A kernel laid out [W, H] and read as [H, W]."""
    return replace(parts, kernel=parts.kernel.transpose(0, 2, 1, 3))


#: Faults that any layer with a kernel can have.
ANYWHERE: Mapping[str, LayerFault] = {
    "kernel scale doubled": kernel_scale_doubled,
    "kernel zero point +8": kernel_zero_point_off,
    "input zero point +8": input_zero_point_off,
    "scale table permuted": scales_permuted,
    "bias dropped": bias_dropped,
    "bias permuted": bias_permuted,
    "kernel in 4 bits": four_bits,
    "channels permuted": channels_permuted,
    "layer zeroed": zeroed,
    "one scale x16": outlier_scale,
}

#: Those that need a quantized output whose range no neighbour shares.
WITH_OUTPUT: Mapping[str, LayerFault] = {
    "activation range clipped": range_clipped,
    "output zero point +8": output_zero_point_off,
}

#: Those that need a kernel larger than 1 x 1.
SPATIAL: Mapping[str, LayerFault] = {"kernel rows and columns swapped": rows_and_columns_swapped}
