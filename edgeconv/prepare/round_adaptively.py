"""Round weights to the side that changes the layer's output least.

    q = argmin E |(s q - w)' (x - E x)|^2      instead of      q = round(w / s)

E over the calibration set, x what the layer reads in the float model, s = max |w| / 127
a channel (see ``round_solver`` for how, ``round_inputs`` for x). The mean of x is left
out where ``correct_bias`` follows, which takes it back; layers are solved one by one.

Few items can't tell all of a large G: a dense layer of 1,280 inputs sees 250 pictures
as 250 rows. So a share of G's mean power is added to each input's own (ridge
regression), the larger the fewer items there are for the inputs.

Requires: BatchNorm folded; calibration data; kernels that no other layer reads.
Ensures: kernels on their grid, s q, with the largest weight of a channel as it was, so
that the engines' weight quantizers find s and q again; biases as they were.

Sources: see ``round_solver``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgeconv.prepare.base import Floats
from edgeconv.prepare.correct_bias import mean_error
from edgeconv.prepare.round_inputs import Moments, patches
from edgeconv.prepare.round_solver import WEIGHT_STEPS, round_columns
from edgeconv.types import Array, Format, Layer, Weights

__all__ = ["Rounded", "adaptive_rounding", "round_kernel"]

_ROUNDED: Final = ("int8", "int16x8")
_FORMATS: Final[tuple[Format, ...]] = ("tflite", "onnx")
#: Items that are run through the model, and rows that they give in all: more than
#: three for each of the 4,608 inputs of a 3x3 kernel over 512 channels.
_ITEMS: Final = 512
_ROWS: Final = 16_384
#: Inputs of an output beyond which a layer is rounded to nearest: G would take more
#: than 100 MB and a minute.
_LONGEST: Final = 4_608
#: Entries of all G that are summed up in one run over the calibration set: 128 MiB.
_ENTRIES: Final = 2**25


@dataclass(frozen=True)
class Rounded:
    """A kernel on its grid.

    Attributes:
        steps: int8, of the kernel's shape.
        scale: float32 [channels].
    """

    steps: Array
    scale: Array

    @property
    def kernel(self) -> Array:
        """float32, of the kernel's shape."""
        columns = self.steps.reshape(-1, self.scale.size).astype(np.float32)
        return (columns * self.scale).reshape(self.steps.shape)

    def rounds(self, kernel: Array) -> bool:
        """Whether ``kernel`` is what was rounded, as another format has it."""
        if kernel.shape != self.steps.shape:
            return False
        away = np.abs(kernel - self.kernel).reshape(-1, self.scale.size).max(axis=0)
        scale = _scale(kernel.reshape(-1, self.scale.size))
        alike = np.allclose(scale, self.scale, rtol=1e-4, atol=0)
        return alike and bool((away <= _MOST_STEPS * scale).all())


#: What a layer of one input would do with, and what is added for each input that comes on
#: one independent row. Of 0.05, 0.2, 0.5, 1 and 3, those that did best on pictures left
#: out: 0.05 to 0.2 for the 9 inputs of depthwise layers, 0.5 for 960 and 250 pictures,
#: 3 for the classifier (1,280 inputs, 250 rows). Off by a factor of 3 it costs 2%.
_RIDGE: Final = 0.05
_RIDGE_PER_INPUT: Final = 0.5
#: The positions of a picture are alike: they count as no more rows than this.
_ROWS_PER_ITEM: Final = 5
#: Rounding moves no weight by as much (the most seen in MobileNetV2 is 4).
_MOST_STEPS: Final = 16


def adaptive_rounding(floats: Floats) -> Weights:
    """The integer layers with their kernels on the grid."""
    wanted = _wanted(floats)
    # Those of the other format too: it takes over what is worked out here.
    unknown = [layer for layer in wanted if floats.items and not _known(layer, floats)]
    items = min(_ITEMS, floats.items)
    for group in _groups(unknown, floats.weights):
        for layer, moments in _observe(group, floats, items):
            kernel, _ = floats.weights[layer.name]
            gram = moments.gram(centred=_is_corrected(layer, floats))
            floats.memo[layer.name] = round_kernel(kernel, gram, _ridge(moments, items))
    return {
        layer.name: (floats.memo[layer.name].kernel, floats.weights[layer.name][1])
        for layer in wanted
        if layer.name in floats.memo and floats.precisions[layer.name] in _ROUNDED
    }


def round_kernel(kernel: Array, gram: Array, ridge: float) -> Rounded:
    """Put one kernel on its grid.

    Args:
        kernel: float32 in the Keras layout; with ``gram``'s groups and K it reshapes to
            [K, groups, outputs of a group].
        gram: float32 [groups, K, K]; is changed.
        ridge: Share of each group's mean power that is added to each input's own.
    """
    groups, length = gram.shape[:2]
    inputs = np.arange(length)
    power = gram[:, inputs, inputs].mean(axis=1, keepdims=True)
    # Where nothing was ever read, any rounding will do.
    gram[:, inputs, inputs] += ridge * np.where(power > 0, power, 1.0)
    columns = kernel.reshape(length, -1)
    scale = _scale(columns)
    grouped = (columns / scale).reshape(length, groups, -1).transpose(1, 0, 2)
    steps = round_columns(grouped, gram).transpose(1, 0, 2)
    return Rounded(steps.astype(np.int8).reshape(kernel.shape), scale)


def _ridge(moments: Moments, items: int) -> float:
    rows = min(moments.count, _ROWS_PER_ITEM * items)
    return _RIDGE + _RIDGE_PER_INPUT * moments.length / rows


def _scale(columns: Array) -> Array:
    """float32 [channels], as the engines' weight quantizers have it."""
    scale: Array = np.abs(columns).max(axis=0) / np.float32(WEIGHT_STEPS)
    scale[scale == 0] = 1.0
    return scale


def _wanted(floats: Floats) -> list[Layer]:
    """Layers with a kernel of their own that are integer in some format."""
    shared = Counter(layer.weight for layer in floats.layers if layer.weight)
    return [
        layer
        for layer in floats.layers
        if layer.name in floats.weights
        and any(floats.recipe.precision_of(layer.name, f) in _ROUNDED for f in _FORMATS)
        and shared[layer.weight] == 1
        and (layer.window is not None or floats.weights[layer.name][0].ndim == 2)
        and _length(floats.weights[layer.name][0].shape, layer) <= _LONGEST
    ]


def _is_corrected(layer: Layer, floats: Floats) -> bool:
    """Whether the bias will take back what rounding does to the mean output."""
    kernel, bias = floats.weights[layer.name]
    mean = floats.ranges[layer.inputs[0]].mean if layer.inputs[0] in floats.ranges else None
    if "correct_bias" not in floats.recipe.passes or bias is None or mean is None:
        return False
    return mean_error(kernel, mean, bias.size) is not None


def _length(shape: Sequence[int], layer: Layer) -> int:
    """K, of a Keras kernel's shape."""
    taps = math.prod(shape[:-2])
    return taps if _groups_of(layer) == shape[-2] > 1 else taps * shape[-2]


def _groups_of(layer: Layer) -> int:
    return 1 if layer.window is None else layer.window.groups


def _known(layer: Layer, floats: Floats) -> bool:
    found = floats.memo.get(layer.name)
    return found is not None and found.rounds(floats.weights[layer.name][0])


def _groups(layers: Sequence[Layer], weights: Weights) -> Iterator[list[Layer]]:
    """Layers whose sums fit into memory together."""
    group: list[Layer] = []
    entries = 0
    for layer in layers:
        own = _groups_of(layer) * _length(weights[layer.name][0].shape, layer) ** 2
        if group and entries + own > _ENTRIES:
            yield group
            group, entries = [], 0
        group.append(layer)
        entries += own
    if group:
        yield group


def _observe(group: Sequence[Layer], floats: Floats, items: int) -> Iterator[tuple[Layer, Moments]]:
    found: dict[str, Moments] = {}
    names = {layer.inputs[0] for layer in group}
    most = math.ceil(_ROWS / items)
    for number, seen in enumerate(floats.samples(names, items)):
        for layer in group:
            x, shape = seen[layer.inputs[0]], floats.weights[layer.name][0].shape
            rows = patches(x, shape, layer.window, number, most)
            if layer.name not in found:
                found[layer.name] = Moments(*rows.shape[1:])
            found[layer.name].update(rows)
    # Popped, so that what was solved is freed.
    return ((layer, found.pop(layer.name)) for layer in group if layer.name in found)
