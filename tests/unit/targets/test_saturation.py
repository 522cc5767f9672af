"""Floors: what no reader of an activation tells apart needs no steps."""

import numpy as np
import pytest

from edgeconv.calibrate import clip
from edgeconv.targets.saturation import _gelu, _swish, with_floors
from edgeconv.types import FloatGraph, Layer, Recipe, TensorRange

SEEN = TensorRange(-9.0, 10.0)


def layer(op, inputs, output):
    return Layer(name=output, op=op, output=output, inputs=tuple(inputs))


def floor_of(layers, outputs=(), **ranges):
    found = with_floors({"x": SEEN, "y": TensorRange(-0.3, 10.0)} | ranges, layers, outputs)
    return found["x"].floor


HARD = [
    layer("Add", ["x"], "a"),
    layer("Clip", ["a"], "c"),
    layer("Mul", ["c"], "m"),
    layer("Mul", ["x", "m"], "y"),
]


def test_a_hard_swish_tells_nothing_below_minus_3_apart():
    assert floor_of([layer("HARD_SWISH", ["x"], "y")]) == -3.0
    assert floor_of(HARD, c=TensorRange(0.0, 6.0)) == -3.0


def test_a_sum_and_a_clamp_of_another_kind_have_no_floor():
    assert floor_of(HARD, c=TensorRange(-1.0, 6.0)) == -np.inf
    assert floor_of(HARD, c=TensorRange(0.0, 6.0), y=TensorRange(-0.6, 9.0)) == -np.inf


@pytest.mark.parametrize("names", [("LOGISTIC", "MUL"), ("Sigmoid", "Mul")])
def test_a_swish_is_nearly_zero_below_its_floor(names):
    layers = [layer(names[0], ["x"], "s"), layer(names[1], ["x", "s"], "y")]
    step = (10.0 + 0.3) / 255

    floor = floor_of(layers)

    below = _swish(np.linspace(-30, floor, 1000))
    assert np.abs(below).max() <= step / 2
    assert np.abs(_swish(np.array(floor + 0.1))) > 0.9 * step / 2


@pytest.mark.parametrize(
    "layers",
    [
        [layer("GELU", ["x"], "y")],
        [
            layer("Mul", ["x"], "h"),
            layer("Erf", ["h"], "e"),
            layer("Add", ["e"], "p"),
            layer("Mul", ["x", "p"], "y"),
            layer("Mul", ["y"], "z"),
        ],
    ],
)
def test_a_gelu_is_nearly_zero_below_its_floor(layers):
    floor = floor_of(layers)

    assert -3.5 < floor < -2.0
    assert np.abs(_gelu(np.linspace(-12, floor, 200))).max() <= (10.0 + 0.3) / 255 / 2


def test_what_another_layer_reads_or_the_caller_gets_has_no_floor():
    swish = layer("HARD_SWISH", ["x"], "y")

    assert floor_of([swish, layer("Conv", ["x"], "z")]) == -np.inf
    assert floor_of([swish], outputs=["x"]) == -np.inf


def test_what_never_goes_so_low_has_no_floor():
    assert floor_of([layer("HARD_SWISH", ["x"], "y")], x=TensorRange(-2.0, 5.0)) == -np.inf


def test_a_range_ends_at_its_floor_whatever_the_calibrator():
    graph = FloatGraph("tflite", None, (), (), {})
    found = clip({"x": TensorRange(-9.0, 10.0, floor=-3.0)}, Recipe(calibrator="minmax"), graph)
    assert (found["x"].low, found["x"].high) == (-3.0, 10.0)
