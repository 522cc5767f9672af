"""The graph passes, each on the smallest graph that shows it; TensorFlow has no part in this."""

import math
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgeconv.errors import Unsupported
from edgeconv.targets.onnx import outside
from edgeconv.targets.onnx.dynamic import quantize_kernel
from edgeconv.targets.onnx.guard import guard_floats
from edgeconv.targets.onnx.kernels import FORMS
from edgeconv.targets.onnx.model import (
    array_of,
    constants,
    infer_shapes,
    sort_constants,
    sort_nodes,
    to_bytes,
)
from edgeconv.targets.onnx.passes import PASSES, Context, run
from edgeconv.targets.onnx.passes.drop_null_reshapes import drop_null_reshapes
from edgeconv.targets.onnx.passes.drop_unused_inputs import drop_unused_inputs
from edgeconv.targets.onnx.passes.fold import fold
from edgeconv.targets.onnx.passes.fold_affine import fold_affine
from edgeconv.targets.onnx.passes.keep_pads import keep_pads
from edgeconv.targets.onnx.passes.mend_erfc import mend_erfc
from edgeconv.targets.onnx.passes.name_nodes import name_nodes
from edgeconv.targets.onnx.passes.refuse_foreign import refuse_foreign
from edgeconv.targets.onnx.passes.share_constants import share_constants
from edgeconv.targets.onnx.put_back import put_back
from edgeconv.targets.onnx.segments import open_segments, run_segments
from edgeconv.targets.onnx.take_out import Place

CONTEXT = Context("model", frozenset({"dense", "bn", "conv", "outer/conv"}), ("x",), ("y",))


def model_of(nodes, held=(), inputs=("x",), shape=(None, 4), outputs=("y",)):
    """A model of float32 tensors; ``held`` maps names to arrays."""
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in inputs]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in dict(held).items()]
    graph = helper.make_graph(nodes, "g", values, ends, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answer(model, **x):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(to_bytes(model), sess_options=options).run(None, x)[0]


def node(op, inputs, output="y", name="", **attributes):
    return helper.make_node(op, inputs, [output], name or f"{output}_{op}", **attributes)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_an_input_that_nothing_reads_is_dropped():
    model = model_of([node("Relu", ["x"])], inputs=("norm/mean:0", "x"))
    model, changed = drop_unused_inputs(model, CONTEXT)
    assert changed
    assert [value.name for value in model.graph.input] == ["x"]


def test_an_input_without_a_value_that_is_read_is_refused():
    model = model_of([node("Sub", ["x", "norm/mean:0"])], inputs=("norm/mean:0", "x"))
    with pytest.raises(Unsupported, match="norm/mean"):
        drop_unused_inputs(model, CONTEXT)


def test_erfc_becomes_one_minus_erf():
    model, changed = mend_erfc(model_of([node("Erfc", ["x"])]), CONTEXT)
    assert changed
    x = np.linspace(-5, 5, 40, dtype=np.float32).reshape(10, 4)
    np.testing.assert_allclose(answer(model, x=x), np.vectorize(math.erfc)(x), atol=1e-6)


def test_an_operator_of_tensorflow_is_refused_by_its_layer():
    model = model_of([node("StatefulPartitionedCall", ["x"], name="outer/conv/call")])
    with pytest.raises(Unsupported, match=r"StatefulPartitionedCall \(layer outer/conv\)"):
        refuse_foreign(model, CONTEXT)


def test_operators_of_onnx_are_not_refused():
    model = model_of([node("Relu", ["x"])])
    assert refuse_foreign(model, CONTEXT) == (model, False)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (1,), ()])
def test_what_follows_a_dense_layer_is_folded_into_it(shape):
    held = {"w": normal(4, 3), "b": normal(3, seed=1)}
    held |= {"s": normal(*shape, seed=2), "t": normal(*shape, seed=3)}
    nodes = [
        node("Gemm", ["x", "w", "b"], "g"),
        node("Mul", ["s", "g"], "m"),
        node("Add", ["m", "t"]),
    ]
    model, x = model_of(nodes, held), normal(5, 4, seed=4)
    before = answer(model, x=x)
    model, changed = fold_affine(model, CONTEXT)
    assert changed
    assert [n.op_type for n in model.graph.node] == ["Gemm"]
    assert len(model.graph.initializer) == 2
    np.testing.assert_allclose(answer(model, x=x), before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        (
            [
                node("Gemm", ["x", "w", "b"], "g"),
                node("Mul", ["g", "s"], "m"),
                node("Add", ["g", "m"]),
            ],
            "two read the product",
        ),
        (
            [node("Gemm", ["x", "w", "b"], "g", alpha=2.0), node("Mul", ["g", "s"])],
            "the product is scaled",
        ),
        ([node("Gemm", ["x", "w", "b"], "g"), node("Mul", ["g", "rows"])], "rows are scaled"),
        ([node("Gemm", ["x", "w", "b"], "g"), node("Mul", ["g", "x3"])], "nothing constant"),
    ],
)
def test_what_is_no_channelwise_constant_is_not_folded(nodes, why):
    held = {"w": normal(4, 3), "b": normal(3), "s": normal(3), "rows": normal(3, 1)}
    model = model_of(nodes, held, inputs=("x", "x3"))
    before = to_bytes(model)
    model, changed = fold_affine(model, CONTEXT)
    assert not changed, why
    assert to_bytes(model) == before


def test_a_constant_that_another_node_reads_survives_the_folding():
    held = {"w": normal(4, 3), "b": normal(3), "s": normal(3)}
    nodes = [
        node("Gemm", ["x", "w", "b"], "g"),
        node("Mul", ["g", "s"], "m"),
        node("Gemm", ["x", "w", "b"], "h"),
        node("Sub", ["m", "h"]),
    ]
    model, x = model_of(nodes, held), normal(5, 4)
    before = answer(model, x=x)
    model, _ = fold_affine(model, CONTEXT)
    np.testing.assert_allclose(answer(model, x=x), before, rtol=1e-5, atol=1e-6)


def test_equal_constants_become_one_but_each_layer_keeps_its_weights():
    held = {"low": np.float32(0), "low_2": np.float32(0), "high": np.float32(6)}
    held |= {"w": np.ones((4, 4), "f"), "w_2": np.ones((4, 4), "f")}
    nodes = [
        node("MatMul", ["x", "w"], "a"),
        node("Clip", ["a", "low", "high"], "b"),
        node("MatMul", ["b", "w_2"], "c"),
        node("Clip", ["c", "low_2", "high"]),
    ]
    model, changed = share_constants(model_of(nodes, held), CONTEXT)
    assert changed
    assert set(constants(model)) == {"low", "high", "w", "w_2"}


def test_a_fused_convolution_is_named_by_its_kernel_and_others_by_what_they_read():
    held = {
        "outer/conv/convolution/merged_input:0": normal(2, 4, 1, 1),
        "bn/batchnorm/sub:0": normal(2),
    }
    nodes = [
        node("Conv", ["x", *held], "Conv__3:0", "Conv__3"),
        node("Relu", ["Conv__3:0"], "y", "Relu__4"),
    ]
    model, _ = name_nodes(model_of(nodes, held, shape=(None, 4, 2, 2)), CONTEXT)
    assert [n.name for n in model.graph.node] == ["outer/conv/Conv", "outer/conv/Relu"]


def test_all_passes_leave_a_model_of_the_same_function_under_layer_names():
    held = {"dense/MatMul/w:0": normal(4, 3), "dense/b:0": normal(3), "bn/s:0": normal(1, 3)}
    nodes = [
        node("MatMul", ["x:0", "dense/MatMul/w:0"], "a", "dense/MatMul"),
        node("Add", ["a", "dense/b:0"], "b", "dense/BiasAdd"),
        node("Mul", ["b", "bn/s:0"], "bn/mul:0", "bn/mul"),
    ]
    model = model_of(nodes, held, inputs=("x:0",), outputs=("bn/mul:0",))
    x = normal(6, 4)
    before = answer(model, **{"x:0": x})
    context = Context("small", CONTEXT.layers, ("x",), ("bn",))
    folded = run(model, context)
    onnx.checker.check_model(folded, full_check=True)
    assert [(n.name, list(n.input), list(n.output)) for n in folded.graph.node] == [
        ("dense/Gemm", ["x", "dense/kernel", "dense/bias"], ["bn"])
    ]
    assert folded.graph.name == "small"
    np.testing.assert_allclose(answer(folded, x=x), before, rtol=1e-5, atol=1e-6)


def test_every_pass_says_what_it_requires_and_ensures():
    import importlib

    for step in PASSES:
        doc = importlib.import_module(step.__module__).__doc__
        assert "Requires: " in doc and "Ensures: " in doc, step.__name__


def test_nodes_are_sorted_behind_what_they_read_and_constants_behind_nodes():
    held = {"late": np.float32(1), "early": np.float32(2), "nobody": np.float32(3)}
    nodes = [
        node("Add", ["b", "late"]),
        node("Mul", ["a", "early"], "b"),
        node("Relu", ["x"], "a"),
    ]
    model = model_of(nodes, held)
    sort_nodes(model)
    sort_constants(model)
    assert [n.op_type for n in model.graph.node] == ["Relu", "Mul", "Add"]
    assert list(constants(model)) == ["early", "late"]


def test_a_part_that_no_file_can_hold_is_refused(monkeypatch):
    model = model_of([node("Mul", ["x", "w"])], {"w": normal(4)})
    monkeypatch.setattr(outside, "LARGEST_BYTES", 15)
    with pytest.raises(Unsupported, match="2 GiB"):
        to_bytes(model)


@given(
    op=st.sampled_from(["conv", "depthwise", "grouped", "transposed", "gemm", "gemm_t", "conv3d"]),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_kernels_survive_the_way_to_keras_and_back(op, seed):
    kind, shape, attributes = {
        "conv": ("Conv", (6, 4, 3, 5), {}),
        "depthwise": ("Conv", (8, 1, 3, 5), {"group": 4}),
        "grouped": ("Conv", (6, 2, 3, 5), {"group": 2}),
        "transposed": ("ConvTranspose", (4, 6, 3, 5), {}),
        "gemm": ("Gemm", (4, 6), {}),
        "gemm_t": ("Gemm", (6, 4), {"transB": 1}),
        "conv3d": ("Conv", (6, 4, 2, 3, 5), {}),
    }[op]
    holder, kernel = node(kind, ["x", "w"], **attributes), normal(*shape, seed=seed)
    keras = FORMS[kind].to_keras(kernel, holder)
    np.testing.assert_array_equal(FORMS[kind].to_onnx(keras, holder, shape), kernel)
    channels = {"depthwise": 8}.get(op, 6)
    assert keras.reshape(-1, channels).shape[1] == channels
    assert op == "depthwise" or keras.shape[-1] == channels


@given(
    channels=st.integers(1, 4),
    exponent=st.integers(-45, 38),
    axis=st.integers(0, 1),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_a_quantized_kernel_is_off_by_half_a_step_at_most(channels, exponent, axis, seed):
    shape = (channels, 5) if axis == 0 else (5, channels)
    with np.errstate(under="ignore"):
        kernel = (normal(*shape, seed=seed).clip(-1, 1) * 10.0**exponent).astype(np.float32)
    kernel[(0, ...) if axis == 0 else (..., 0)] = 0.0
    quantized, scales = quantize_kernel(kernel, axis)
    assert quantized.dtype == np.int8
    assert scales.min() > 0
    assert abs(quantized.astype(int)).max(initial=0) <= 127
    error = np.abs(quantized.astype(np.float64) * scales - kernel)
    assert (error <= scales.astype(np.float64) * 0.5001).all()


def test_a_float_layer_between_integer_ones_is_guarded_and_others_are_not():
    held = {"s": np.float32(0.1), "z": np.uint8(0), "w": normal(2, 4, 1, 1)}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], "q"),
        node("DequantizeLinear", ["q", "s", "z"], "d"),
        node("Conv", ["d", "w"], "c", "kept"),
        node("Relu", ["c"], "r"),
        node("QuantizeLinear", ["r", "s", "z"], "q2"),
        node("DequantizeLinear", ["q2", "s", "z"], "y"),
    ]
    model, x = model_of(nodes, held, shape=(None, 4, 2, 2)), normal(1, 4, 2, 2)
    plain = model_of(nodes, held, shape=(None, 4, 2, 2))
    guard_floats(plain, [])
    assert len(plain.graph.node) == len(nodes)
    guard_floats(model, ["kept"])
    sort_nodes(model)
    assert [n.op_type for n in model.graph.node][3:5] == ["Relu", "Max"]
    steps = (x / 0.1).round().clip(0, 255) * 0.1
    w = array_of(constants(model)["w"])[:, :, 0, 0]
    exact = np.maximum(np.einsum("nchw,oc->nohw", steps, w), 0)
    expected = (exact / 0.1).round().clip(0, 255) * 0.1
    np.testing.assert_allclose(answer(model, x=x), expected, atol=1e-4)


def test_a_transpose_of_one_long_axis_and_the_reshape_back_are_dropped():
    nodes = [
        node("Transpose", ["x"], "t", perm=[0, 2, 3, 1]),
        node("Reshape", ["t", "shape"], "r"),
        node("Relu", ["r"]),
    ]
    held = {"shape": np.array([-1, 4, 1, 1])}
    model = model_of(nodes, held, shape=(None, 4, 1, 1))
    model, changed = drop_null_reshapes(model, CONTEXT)
    assert changed
    assert [n.op_type for n in model.graph.node] == ["Relu"]


def test_a_transpose_that_moves_elements_is_kept():
    nodes = [
        node("Transpose", ["x"], "t", perm=[0, 2, 3, 1]),
        node("Reshape", ["t", "shape"], "r"),
        node("Relu", ["r"]),
    ]
    held = {"shape": np.array([-1, 4, 2, 1])}
    model = model_of(nodes, held, shape=(None, 4, 2, 1))
    x = normal(3, 4, 2, 1)
    expected = answer(model, x=x)
    model, _ = drop_null_reshapes(model, CONTEXT)
    np.testing.assert_array_equal(answer(model, x=x), expected)


def test_kernels_follow_a_graph_that_holds_none(tmp_path):
    kernel = normal(3, 3, 2, 5)
    file = tmp_path / "frozen"
    file.write_bytes(b"ahead" + kernel.tobytes() + b"behind")
    nodes = [
        node("Reshape", ["conv/W:0", "shape"], "r"),
        node("Transpose", ["r"], "t", perm=[3, 2, 0, 1]),
        node("Conv", ["x", "t"]),
    ]
    model = model_of(
        nodes,
        {"shape": np.array([3, 3, 2, 5])},
        inputs=("x", "conv/W:0"),
        shape=(None, 2, 6, 6),
    )
    read_values = put_back(model, [Place("conv/W", 5, kernel.shape)], file)
    assert [value.name for value in model.graph.input] == ["x"]
    assert [tuple(t.dims) for t in model.graph.initializer] == [(5, 2, 3, 3)]
    assert not any(t.raw_data for t in model.graph.initializer)
    folded, _ = fold(model, replace(CONTEXT, kernels=read_values))
    held = array_of(next(iter(constants(folded).values())))
    np.testing.assert_array_equal(held, kernel.transpose(3, 2, 0, 1))


def test_a_graph_in_parts_computes_what_the_whole_computes():
    nodes = [
        node("Relu", ["x"], "a"),
        node("Mul", ["a", "w"], "b"),
        node("Add", ["b", "x"], "c"),
        node("Sub", ["c", "a"]),
    ]
    model = infer_shapes(model_of(nodes, {"w": normal(4)}, shape=("batch", 4)))
    x = normal(1, 4, seed=1)
    whole = next(run_segments(open_segments(model, ["a", "b", "c", "y"]), {"x": x})).copy()
    parts = open_segments(model, ["a", "b", "c", "y"], 16, 16)
    assert len(parts) == 4
    found = {name: v for seen in run_segments(parts, {"x": x}) for name, v in seen.items()}
    assert found.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("held_zero", [False, True])
@pytest.mark.parametrize("between", [(), ("Transpose",)])
def test_zeros_around_negative_numbers_stay_the_largest_of_their_window(held_zero, between):
    """A border of zeros is larger than what it surrounds, which onnxruntime forgets."""
    held = {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)}
    if held_zero:
        held["zero"] = np.zeros((), np.float32)
    nodes = [node("Pad", ["x", "pads", *(["zero"] if held_zero else [])], "padded")]
    source = "padded"
    if between:
        nodes.append(node("Transpose", [source], "turned", perm=[0, 1, 3, 2]))
        source = "turned"
    nodes.append(node("MaxPool", [source], kernel_shape=[3, 3], strides=[2, 2]))
    model = model_of(nodes, held, shape=(None, 2, 6, 6))
    x = -1 - np.random.default_rng(0).random((1, 2, 6, 6), np.float32)
    made, changed = keep_pads(model, CONTEXT)
    y = answer(made, x=x)
    assert changed
    assert (abs(y[:, :, 0]) < 1e-30).all() and (abs(y[:, :, :, 0]) < 1e-30).all()
    assert (y[:, :, 1:, 1:] < -1).all()


def test_a_pad_of_what_is_never_negative_may_be_fused():
    held = {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)}
    nodes = [
        node("Relu", ["x"], "r"),
        node("Pad", ["r", "pads"], "padded"),
        node("MaxPool", ["padded"], kernel_shape=[3, 3]),
    ]
    assert not keep_pads(model_of(nodes, held, shape=(None, 1, 6, 6)), CONTEXT)[1]


def test_a_pad_that_a_convolution_takes_in_is_left_to_it():
    held = {
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
        "w": np.ones((1, 1, 3, 3), np.float32),
    }
    nodes = [node("Pad", ["x", "pads"], "padded"), node("Conv", ["padded", "w"])]
    assert not keep_pads(model_of(nodes, held, shape=(None, 1, 6, 6)), CONTEXT)[1]


@pytest.mark.parametrize("value", [True, False])
def test_what_is_padded_by_zero_before_a_pool_stays_zero_though_all_else_is_negative(value):
    held = {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])} | ({"v": np.float32(0)} if value else {})
    nodes = [
        node("Pad", ["x", "pads", "v"] if value else ["x", "pads"], "padded", "pool/Pad"),
        node("MaxPool", ["padded"], name="pool/MaxPool", kernel_shape=[3, 3], strides=[2, 2]),
    ]
    model = model_of(nodes, {k: np.asarray(v) for k, v in held.items()}, shape=(None, 2, 8, 8))
    x = -1 - np.abs(normal(1, 2, 8, 8))
    folded = run(model, CONTEXT)
    # At the border 0, inside the largest of nine.
    pooled = answer(folded, x=x)
    assert (np.abs(pooled[:, :, 0]) < 1e-30).all() and (pooled[:, :, 1:, 1:] < -1).all()
