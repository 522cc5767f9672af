"""Saturation: how far below zero an activation's readers can tell its values apart.

Hard-swish gives 0 for all x below -3; swish and GELU come nearer to 0 than half a step of
their own outputs soon after. What lies below needs no steps: of MobileNetV3's [-10.7, 10.5]
before a hard-swish, [-3, 10.5] takes 64%.

    x -> HARD_SWISH                       0             below -3
    x -> Add -> Clip [-> Mul] -> Mul x    the same
    x -> LOGISTIC -> MUL x                x / (1 + e^-x)
    x -> GELU, or Mul -> Erf -> Add -> Mul x            x P(X < x), X normal

Both formats have these operators by these names or those.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from edgeconv.types import Array, Layer, Ranges, TensorRange

__all__ = ["with_floors"]

_HARD_SWISH: Final = frozenset({"HARD_SWISH", "HardSwish"})
_GELU: Final = frozenset({"GELU", "Gelu"})
_SIGMOID: Final = frozenset({"LOGISTIC", "Sigmoid"})
_PRODUCT: Final = frozenset({"MUL", "Mul"})
_SUM: Final = frozenset({"ADD", "Add"})
#: What may stand between x and the product with x: one reader each.
_BETWEEN: Final = frozenset({*_PRODUCT, *_SUM, "Div", "DIV", "Clip", "Erf"})
_LONGEST: Final = 5
#: Of the steps of an output, what may be lost of it.
_PART: Final = 0.5
_STEPS: Final = 255
#: Beyond it nothing is cut, however coarse the output: the curves' own dips lie there.
_HIGHEST: Final = -2.0
_LOWEST: Final = -16.0

Curve = Callable[[Array], Array]


def with_floors(ranges: Ranges, layers: Sequence[Layer], outputs: Sequence[str]) -> Ranges:
    """The ranges, with floors where readers saturate.

    Args:
        ranges: As observed.
        layers: Of the graph, in order.
        outputs: Names of the graph's outputs, which have no floor.
    """
    readers: dict[str, list[Layer]] = {}
    for layer in layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer)
    found = dict(ranges)
    for name in readers.keys() & ranges.keys() - set(outputs):
        floor = _floor(name, readers, ranges)
        if floor is not None and floor > ranges[name].low:
            found[name] = replace(ranges[name], floor=floor)
    return found


def _floor(name: str, readers: Mapping[str, list[Layer]], ranges: Ranges) -> float | None:
    own = readers[name]
    kinds = Counter(layer.op for layer in own)
    if kinds.keys() <= _HARD_SWISH:
        return -3.0
    if kinds.keys() <= _GELU:
        return _nearly_zero(_gelu, [ranges.get(layer.output) for layer in own])
    products = [each for each in own if each.op in _PRODUCT and len(each.inputs) == 2]
    product = products[0] if products else None
    if product is None or len(own) != 2:
        return None
    start = own[1] if own[0] is product else own[0]
    path = _path(start, product, readers)
    ops = [layer.op for layer in path]
    if len(ops) == 1 and ops[0] in _SIGMOID:
        return _nearly_zero(_swish, [ranges.get(product.output)])
    if "Erf" in ops:
        return _nearly_zero(_gelu, [ranges.get(product.output)])
    if len(ops) > 1 and ops[0] in _SUM and ops[1] == "Clip":
        return _hard_swish(ranges.get(path[1].output), ranges.get(product.output))
    return None


def _path(start: Layer, end: Layer, readers: Mapping[str, list[Layer]]) -> list[Layer]:
    """The operators from ``start`` to ``end``, each read by the next alone; else none."""
    path = [start]
    while len(path) <= _LONGEST:
        following = readers.get(path[-1].output, [])
        if len(path[-1].inputs) != 1 or len(following) != 1:
            return []
        if following[0] is end:
            return path
        if following[0].op not in _BETWEEN:
            return []
        path.append(following[0])
    return []


def _hard_swish(clipped: TensorRange | None, output: TensorRange | None) -> float | None:
    """-3, where what was seen is x min(max(x + 3, 0), 6) / 6, whose minimum is -3/8."""
    if clipped is None or output is None or output.low < -0.376:
        return None
    return -3.0 if clipped.low >= 0.0 and clipped.high <= 6.001 else None


def _nearly_zero(curve: Curve, outputs: Sequence[TensorRange | None]) -> float | None:
    """Below it the curve is within half a step of zero."""
    seen = [each for each in outputs if each is not None]
    if len(seen) != len(outputs):
        return None
    step = min((each.high - each.low) / _STEPS for each in seen)
    x = np.linspace(_LOWEST, _HIGHEST, 1401)
    small = np.abs(curve(x)) <= _PART * step
    return float(x[int(np.argmin(small)) - 1]) if not small.all() and small[0] else None


def _swish(x: Array) -> Array:
    curve: Array = x / (1.0 + np.exp(-x))
    return curve


def _gelu(x: Array) -> Array:
    return np.array([each * 0.5 * math.erfc(-each / math.sqrt(2.0)) for each in x])
