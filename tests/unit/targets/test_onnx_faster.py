"""Passes and rewrites that make int8 ONNX faster: the same numbers, in fewer or quicker steps."""

import numpy as np
import onnx
import pytest

from edgeconv.targets.onnx import integer
from edgeconv.targets.onnx.anatomy import OnnxAnatomy
from edgeconv.targets.onnx.averages import averages_by_convolutions
from edgeconv.targets.onnx.integer import to_int8
from edgeconv.targets.onnx.model import array_of, constants, infer_shapes
from edgeconv.targets.onnx.passes.dense_to_conv import dense_to_conv
from edgeconv.targets.onnx.passes.drop_null_reshapes import drop_null_reshapes
from edgeconv.targets.onnx.passes.fold_affine import fold_affine
from edgeconv.targets.onnx.passes.mean_to_pool import mean_to_pool
from edgeconv.targets.onnx.passes.merge_affine import merge_affine
from edgeconv.targets.onnx.passes.widen_constants import widen_constants
from edgeconv.targets.onnx.quicker import _Index
from edgeconv.targets.onnx.relabel import relabel_products
from edgeconv.targets.onnx.widen import widen_depthwise
from edgeconv.types import Recipe, TensorRange
from tests.unit.targets.test_onnx_passes import CONTEXT, answer, model_of, node, normal

PICTURE = (None, 6, 5, 3)


def kinds(model):
    return [found.op_type for found in model.graph.node]


def same(before, after, *shape):
    x = normal(*shape, seed=9)
    np.testing.assert_allclose(answer(after, x=x), answer(before, x=x), rtol=1e-5, atol=1e-6)


def copied(model):
    clone = onnx.ModelProto()
    clone.CopyFrom(model)
    return clone


def test_what_scales_an_input_becomes_one_product_and_one_sum():
    held = {"r": np.float32(1 / 255), "m": normal(1, 1, 1, 3), "s": normal(1, 1, 1, 3, seed=1)}
    nodes = [node("Mul", ["x", "r"], "a"), node("Add", ["a", "m"], "b"), node("Mul", ["b", "s"])]
    before = model_of(nodes, held, shape=PICTURE)

    after, changed = merge_affine(copied(before), CONTEXT)

    assert changed and kinds(after) == ["Mul", "Add"]
    same(before, after, 2, 6, 5, 3)


def test_sums_follow_each_other_as_one_sum():
    held = {"a1": normal(3), "a2": np.float32(0.5)}
    before = model_of(
        [node("Add", ["a1", "x"], "a"), node("Add", ["a", "a2"])], held, shape=PICTURE
    )

    after, changed = merge_affine(copied(before), CONTEXT)

    assert changed and kinds(after) == ["Add"]
    same(before, after, 2, 6, 5, 3)


def test_a_product_before_a_sum_stays_as_does_what_another_node_reads():
    held = {"s": normal(3), "b": normal(3)}
    nodes = [node("Mul", ["x", "s"], "m"), node("Add", ["m", "b"])]
    assert not merge_affine(model_of(nodes, held, shape=PICTURE), CONTEXT)[1]

    nodes = [node("Add", ["x", "b"], "a"), node("Mul", ["a", "s"], "m"), node("Add", ["a", "m"])]
    assert not merge_affine(model_of(nodes, held, shape=PICTURE), CONTEXT)[1]


@pytest.mark.parametrize("shape", [(3,), (1, 1, 1, 3)])
def test_constants_of_few_channels_become_a_row(shape):
    held = {"s": normal(*shape), "b": normal(*shape, seed=1)}
    nodes = [node("Mul", ["x", "s"], "m"), node("Add", ["m", "b"])]
    before = model_of(nodes, held, shape=PICTURE)

    after, changed = widen_constants(copied(before), CONTEXT)

    assert changed
    assert {tuple(tensor.dims) for tensor in after.graph.initializer} == {(5, 3)}
    x = normal(2, 6, 5, 3)
    np.testing.assert_array_equal(answer(after, x=x), answer(before, x=x))


@pytest.mark.parametrize("shape", [(None, None, None, 3), (None, 6, 5, 64), (None, 3)])
def test_constants_stay_where_the_width_is_free_or_the_spans_are_long(shape):
    held = {"s": normal(shape[-1])}

    assert not widen_constants(model_of([node("Mul", ["x", "s"])], held, shape=shape), CONTEXT)[1]


def test_a_spatial_mean_becomes_a_pool():
    before = model_of([node("ReduceMean", ["x"], axes=[2, 3], keepdims=1)], shape=(None, 4, 6, 5))

    after, changed = mean_to_pool(copied(before), CONTEXT)

    assert changed and kinds(after) == ["GlobalAveragePool"]
    same(before, after, 2, 4, 6, 5)


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((None, 4, 6, 5), {"axes": [1, 2], "keepdims": 1}),
        ((None, 4, 6, 5), {"axes": [2, 3], "keepdims": 0}),
        ((None, 4, 6, 5, 2), {"axes": [2, 3], "keepdims": 1}),
    ],
)
def test_other_means_stay(shape, attributes):
    assert not mean_to_pool(
        model_of([node("ReduceMean", ["x"], **attributes)], shape=shape), CONTEXT
    )[1]


def test_reshapes_that_end_where_they_began_vanish():
    held = {"axes": np.array([2, 3]), "shape": np.array([-1, 4, 1, 1])}
    nodes = [
        node("GlobalAveragePool", ["x"], "g"),
        node("Squeeze", ["g", "axes"], "s"),
        node("Reshape", ["s", "shape"], "r"),
        node("Relu", ["r"]),
    ]
    before = model_of(nodes, held, shape=(None, 4, 6, 5))

    after, changed = drop_null_reshapes(copied(before), CONTEXT)

    assert changed and kinds(after) == ["GlobalAveragePool", "Relu"]
    assert not after.graph.initializer
    same(before, after, 2, 4, 6, 5)


def test_a_reshape_that_something_else_reads_halfway_stays():
    held = {"axes": np.array([2, 3]), "shape": np.array([-1, 4, 1, 1])}
    nodes = [
        node("GlobalAveragePool", ["x"], "g"),
        node("Squeeze", ["g", "axes"], "y"),
        node("Reshape", ["y", "shape"], "r"),
        node("Relu", ["r"], "z"),
    ]
    model = model_of(nodes, held, shape=(None, 4, 6, 5), outputs=("y", "z"))

    after, _ = drop_null_reshapes(model, CONTEXT)

    assert kinds(after) == ["GlobalAveragePool", "Squeeze", "Relu"]


def test_a_mean_whose_single_channel_goes_to_the_end_and_back_stays_where_it_is():
    held = {"shape": np.array([-1, 6, 5, 1])}
    nodes = [
        node("ReduceMean", ["x"], "m", axes=[1], keepdims=1),
        node("Reshape", ["m", "shape"], "r"),
        node("Transpose", ["r"], "t", perm=[0, 3, 1, 2]),
        node("Sub", ["x", "t"]),
    ]
    before = model_of(nodes, held, shape=(None, 4, 6, 5))

    after, changed = drop_null_reshapes(copied(before), CONTEXT)

    assert changed and kinds(after) == ["ReduceMean", "Sub"]
    same(before, after, 2, 4, 6, 5)


def test_a_transpose_of_two_long_axes_stays():
    held = {"shape": np.array([-1, 4, 6, 5])}
    nodes = [
        node("Transpose", ["x"], "t", perm=[0, 2, 3, 1]),
        node("Reshape", ["t", "shape"], "r"),
        node("Relu", ["r"]),
    ]
    model = model_of(nodes, held, shape=(None, 4, 6, 5))
    assert not drop_null_reshapes(model, CONTEXT)[1]


#: A block of ConvNeXt behind its LayerNorm, [N, 4, 6, 5], as tf2onnx leaves it.
BLOCK = {
    "rows": np.array([-1, 4]), "more": np.array([-1, 7]), "w": normal(4, 7),
    "b": normal(7, seed=1), "v": normal(7, 4, seed=2), "scale": normal(4, seed=3),
    "places": np.array([0, 1, 2]), "seven": np.array([7]), "picture": np.array([-1, 6, 5, 4]),
}  # fmt: skip


def block(*more):
    return [
        node("Transpose", ["x"], "last", perm=[0, 2, 3, 1]),
        node("Shape", ["last"], "size"),
        node("Gather", ["size", "places"], "sides"),
        node("Concat", ["sides", "seven"], "whole", axis=0),
        node("Reshape", ["last", "rows"], "flat"),
        node("MatMul", ["flat", "w"], "wide"),
        node("Reshape", ["wide", "whole"], "again"),
        node("Add", ["again", "b"], "biased"),
        node("Erf", ["biased"], "erf"),
        node("Reshape", ["erf", "more"], "rest"),
        node("MatMul", ["rest", "v"], "narrow"),
        node("Reshape", ["narrow", "picture"], "done"),
        node("Mul", ["done", "scale"], "scaled"),
        node("Transpose", ["scaled"], "first", perm=[0, 3, 1, 2]),
        *more,
    ]


def test_dense_layers_between_two_transposes_become_convolutions():
    before = model_of(block(node("Add", ["x", "first"])), BLOCK, shape=(None, 4, 6, 5))

    after, changed = dense_to_conv(copied(before), CONTEXT)

    assert changed and kinds(after) == ["Conv", "Add", "Erf", "Conv", "Mul", "Add"]
    onnx.checker.check_model(after)
    same(before, after, 2, 4, 6, 5)


def test_bias_and_scale_of_such_a_layer_go_into_its_kernel():
    before = model_of(block(node("Add", ["x", "first"])), BLOCK, shape=(None, 4, 6, 5))

    after, changed = fold_affine(dense_to_conv(copied(before), CONTEXT)[0], CONTEXT)

    assert changed and kinds(after) == ["Conv", "Erf", "Conv", "Add"]
    same(before, after, 2, 4, 6, 5)


@pytest.mark.parametrize(
    "reader",
    [
        node("Softmax", ["biased"], "y", axis=-1),  # of the channels, which lie elsewhere then
        node("Relu", ["whole"], "y"),  # the shape that would no longer be told
        node("Relu", ["wide"], "y"),  # rows of pixels
    ],
)
def test_dense_layers_that_something_else_reads_stay(reader):
    nodes = block(node("Add", ["x", "first"], "z"), reader)
    model = model_of(nodes, BLOCK, shape=(None, 4, 6, 5), outputs=("z", "y"))
    assert not dense_to_conv(model, CONTEXT)[1]


def test_constants_are_found_whatever_was_added_and_removed_since():
    tensors = model_of([node("Relu", ["x"])], {n: normal(2) for n in "abc"}).graph.initializer
    index = _Index(tensors)
    assert index.find("b").name == "b" and index.find("d") is None
    tensors.remove(tensors[0])
    tensors.add(name="d")
    assert [index.find(n) and index.find(n).name for n in "abcd"] == [None, "b", "c", "d"]
    del tensors[:]
    assert index.find("d") is None


def quantized(number, zero=0):
    """x -> QDQ -> Mul by a constant -> QDQ -> Relu -> y."""
    held = {
        "s": np.float32(0.02), "z": np.uint8(100), "cs": np.float32(abs(number) / 200),
        "c": np.uint8(zero + 200 if number > 0 else zero), "cz": np.uint8(zero),
        "t": np.float32(0.02 * abs(number)), "tz": np.uint8(100),
    }  # fmt: skip
    return model_of(
        [
            node("QuantizeLinear", ["x", "s", "z"], "xq"),
            node("DequantizeLinear", ["xq", "s", "z"], "xd"),
            node("DequantizeLinear", ["c", "cs", "cz"], "cd"),
            node("Mul", ["xd", "cd"], "m"),
            node("QuantizeLinear", ["m", "t", "tz"], "mq"),
            node("DequantizeLinear", ["mq", "t", "tz"], "md"),
            node("Relu", ["md"]),
        ],
        held,
    )


def test_a_product_with_a_number_is_a_change_of_scale():
    before = quantized(1 / 6)
    after = copied(before)

    relabel_products(after)

    assert kinds(after) == ["QuantizeLinear", "DequantizeLinear", "Relu"]
    scale = array_of(constants(after)[after.graph.node[1].input[1]])
    assert scale == pytest.approx(0.02 / 6)
    x = np.linspace(-2, 3, 40, dtype=np.float32).reshape(10, 4)
    np.testing.assert_allclose(answer(after, x=x), answer(before, x=x), atol=1e-6)


def test_what_a_product_went_into_is_looked_at_as_it_was_before_it():
    """By its float name it holds what was quantized, not what its reader makes of it."""
    model = quantized(1 / 6)
    relabel_products(model)
    found = OnnxAnatomy(model.SerializeToString()).tensors["xq"]

    assert (found.scale, found.zero_point) == (pytest.approx(0.02), 100)


def test_a_product_with_nothing_stays():
    model = quantized(-1.0)  # an integer at the zero point: 0

    relabel_products(model)

    assert "Mul" in kinds(model)


def pooled(size, **attributes):
    """x -> AveragePool -> Relu -> y, with all shapes written down."""
    nodes = [
        node("AveragePool", ["x"], "a", kernel_shape=size, **attributes),
        node("Relu", ["a"]),
    ]
    return infer_shapes(model_of(nodes, shape=(None, 4, 7, 9)))


@pytest.mark.parametrize(
    ("size", "attributes", "operators"),
    [
        ([3, 3], {"pads": [1, 1, 1, 1]}, ["Conv", "Mul", "Relu"]),
        ([3, 3], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, ["Conv", "Mul", "Relu"]),
        ([2, 3], {"pads": [0, 1, 1, 1]}, ["Conv", "Mul", "Relu"]),
        ([3, 3], {"pads": [1, 1, 1, 1], "count_include_pad": 1}, ["Conv", "Relu"]),
        ([2, 2], {"strides": [2, 2]}, ["Conv", "Relu"]),
        ([1, 1], {"strides": [2, 2]}, ["Conv", "Relu"]),
    ],
)
def test_an_average_becomes_a_convolution_that_knows_its_border(size, attributes, operators):
    before = pooled(size, **attributes)
    ranges = {"x": TensorRange(-4, 4), "a": TensorRange(-3, 3), "y": TensorRange(0, 3)}

    after = copied(before)
    found, overrides = averages_by_convolutions(after, ranges, ())

    assert kinds(after) == operators
    same(before, after, 2, 4, 7, 9)
    assert all(found[name] == found["a"] for name in found.keys() - ranges)
    for name, (override,) in overrides.items():
        codes = array_of(constants(after)[name]) / override["scale"]
        np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)
        assert 128 <= codes.max() <= 255.5


@pytest.mark.parametrize(
    ("size", "attributes"), [([5, 5], {}), ([3, 3], {"ceil_mode": 1, "strides": [2, 2]})]
)
def test_large_windows_and_half_windows_stay_pools(size, attributes):
    model = pooled(size, **attributes)

    averages_by_convolutions(model, {}, ())

    assert kinds(model) == ["AveragePool", "Relu"]


def test_an_average_over_the_whole_picture_has_steps_of_its_own():
    model = pooled([7, 9])
    ranges = {"x": TensorRange(-40, 40), "a": TensorRange(-1, 1), "y": TensorRange(0, 1)}
    x = np.clip(normal(2, 4, 7, 9), -4, 4)
    true = answer(model, x=x)

    found = to_int8(copied(model), ranges, Recipe(), ())

    assert "GlobalAveragePool" in kinds(found)
    # Of 63 roundings to 80 / 255 little is left; half a step of y beside them.
    assert np.abs(answer(found, x=x) - true).max() <= 0.1


def test_a_pool_that_is_to_stay_in_float_stays_a_pool():
    model = pooled([2, 2])

    averages_by_convolutions(model, {}, ("a_AveragePool",))

    assert kinds(model) == ["AveragePool", "Relu"]


def test_an_int8_average_is_as_near_as_its_steps():
    model = pooled([3, 3], pads=[1, 1, 1, 1])
    ranges = {"x": TensorRange(-4, 4), "a": TensorRange(-3, 3), "y": TensorRange(0, 3)}
    x = np.clip(normal(2, 4, 7, 9), -4, 4)
    true = answer(model, x=x)

    found = to_int8(copied(model), ranges, Recipe(), ())

    difference = np.abs(answer(found, x=x) - true)
    # Half a step each of x, of the sums and of y; at a corner the sums' is 9/4 as large.
    assert difference[:, :, 1:-1, 1:-1].max() <= 0.5 * (8 + 6 + 3) / 255 + 1e-3
    assert difference.max() <= 0.5 * (8 + 6 * 9 / 4 + 3) / 255 + 1e-3


def separable(channels=11):
    """x [N, 4, 9, 9] -> Conv -> Relu -> depthwise Conv -> Relu -> Conv -> y [N, 6, 9, 9]."""
    held = {
        "w1": normal(channels, 4, 1, 1), "b1": normal(channels),
        "w2": normal(channels, 1, 3, 3), "b2": normal(channels, seed=1),
        "w3": normal(6, channels, 1, 1), "b3": normal(6),
    }  # fmt: skip
    nodes = [
        node("Conv", ["x", "w1", "b1"], "c1"),
        node("Relu", ["c1"], "r1"),
        node("Conv", ["r1", "w2", "b2"], "c2", group=channels, pads=[1, 1, 1, 1]),
        node("Relu", ["c2"], "r2"),
        node("Conv", ["r2", "w3", "b3"]),
    ]
    return infer_shapes(model_of(nodes, held, shape=(None, 4, 9, 9)))


def test_a_narrow_depthwise_convolution_gets_channels_of_zeros():
    before = separable()
    ranges = {name: TensorRange(-9, 9) for name in ("x", "c1", "r1", "c2", "r2", "y")}

    after = copied(before)
    found = widen_depthwise(after, ranges, ())

    assert kinds(after) == kinds(before)
    depthwise = after.graph.node[2]
    assert next(a.i for a in depthwise.attribute if a.name == "group") == 16
    assert found.keys() == {"x", "y"} | {f"{n}/widened" for n in ("c1", "r1", "c2", "r2")}
    onnx.checker.check_model(infer_shapes(after), full_check=True)
    same(before, after, 3, 4, 9, 9)


@pytest.mark.parametrize("channels", [16, 48, 72])
def test_whole_registers_and_many_channels_stay(channels):
    model = separable(channels)

    widen_depthwise(model, {}, ())

    assert "w2" in constants(model)


def test_a_convolution_between_that_stays_in_float_is_not_widened():
    model = separable()

    widen_depthwise(model, {}, ("c2_Conv",))

    assert "w2" in constants(model)


def test_what_is_read_elsewhere_is_not_widened():
    model = separable()
    model.graph.node.append(node("Relu", ["c1"], "also"))

    widen_depthwise(model, {}, ())

    assert "w2" in constants(model)


def test_widening_changes_no_integer_of_the_answer(monkeypatch):
    model = separable()
    ranges = {name: TensorRange(-9, 9) for name in ("x", "c1", "c2", "y")}
    ranges |= {name: TensorRange(0, 9) for name in ("r1", "r2")}
    widened = to_int8(copied(model), ranges, Recipe(), ())
    monkeypatch.setattr(integer, "widen_depthwise", lambda model, ranges, stays: ranges)
    plain = to_int8(copied(model), ranges, Recipe(), ())

    x = normal(5, 4, 9, 9)
    np.testing.assert_array_equal(answer(widened, x=x), answer(plain, x=x))
