from dataclasses import replace

import numpy as np
import pytest

from edgeconv import calibrate, prepare
from edgeconv.prepare.base import Floats
from edgeconv.prepare.correct_bias import correct_bias
from edgeconv.prepare.round_adaptively import Rounded, adaptive_rounding
from edgeconv.prepare.samples import Samples, Some
from edgeconv.progress import Silent
from edgeconv.targets.onnx import ONNX
from edgeconv.targets.tflite import TFLITE, flatbuffer
from edgeconv.types import Batch, FloatGraph, Layer, Recipe, Scope, TensorRange

ROUNDED = Recipe(passes=("lift_channels", "adaptive_rounding", "correct_bias"))
X = np.maximum(
    np.random.default_rng(1).normal(size=(200, 24)) @ np.random.default_rng(2).normal(size=(24, 24))
    + 1,
    0,
).astype(np.float32)


class Arrays:
    """A dataset of ready arrays."""

    name, fingerprint, labelled = "arrays", "", False

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def batches(self, size):
        for start in range(0, len(self.x), size):
            yield Batch((self.x[start : start + size],), None, ())


def floats_of(precision="int8", recipe=ROUNDED, asked=None, **changes):
    """A dense layer that reads ``X``."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(24, 10)).astype(np.float32)
    layer = Layer("dense", "FULLY_CONNECTED", "y", "w", "b", inputs=("x",))

    def samples(tensors, items):
        if asked is not None:
            asked.append(set(tensors))
        return ({"x": row[np.newaxis]} for row in X[:items])

    floats = Floats(
        layers=[layer],
        weights={"dense": (kernel, rng.normal(size=10).astype(np.float32))},
        ranges={"x": TensorRange(0.0, float(X.max()), mean=X.mean(axis=0, dtype=np.float64))},
        precisions={"dense": precision},
        recipe=recipe,
        items=len(X),
        samples=samples,
    )
    return replace(floats, **changes)


def output_error(floats, kernel, bias):
    exact, own = floats.weights["dense"]
    return float(np.square(X @ kernel + bias - X @ exact - own).mean())


def nearest(kernel):
    scale = np.abs(kernel).max(axis=0) / 127
    return np.rint(kernel / scale) * scale


def test_the_output_changes_less_than_by_rounding_to_nearest_and_correcting_the_bias():
    floats = floats_of()
    kernel, _ = floats.weights["dense"]
    plain = correct_bias(floats)["dense"][1]

    chosen = adaptive_rounding(floats)
    after = replace(floats, weights=chosen, exact={"dense": kernel})
    corrected = correct_bias(after)["dense"]

    assert output_error(floats, *corrected) < 0.8 * output_error(floats, nearest(kernel), plain)


def test_the_bias_is_corrected_for_the_weights_as_they_were_before_rounding():
    floats = floats_of()
    kernel, _ = floats.weights["dense"]
    chosen = adaptive_rounding(floats)

    after = replace(floats, weights=chosen, exact={"dense": kernel})
    rounded, bias = correct_bias(after)["dense"]

    mean = (X @ rounded + bias).mean(axis=0)
    np.testing.assert_allclose(
        mean, (X @ kernel + floats.weights["dense"][1]).mean(axis=0), atol=1e-4
    )


def test_without_a_correction_of_the_bias_the_mean_counts_too():
    alone = floats_of(recipe=Recipe(passes=("adaptive_rounding",)))
    before_correction = floats_of()
    errors = [
        output_error(floats, *adaptive_rounding(floats)["dense"])
        for floats in (alone, before_correction)
    ]
    assert errors[0] < errors[1]


def test_only_the_kernel_changes():
    floats = floats_of()
    np.testing.assert_array_equal(adaptive_rounding(floats)["dense"][1], floats.weights["dense"][1])


@pytest.mark.parametrize(
    "floats",
    [
        floats_of("fp32", recipe=replace(ROUNDED, precision="fp32")),
        floats_of(items=0),
        floats_of(
            layers=[replace(floats_of().layers[0], name=name) for name in ("dense", "other")]
        ),
        floats_of(weights={"dense": (np.ones((5000, 1), np.float32), None)}),
        floats_of(weights={"dense": (np.ones((3, 3, 24, 8), np.float32), None)}),
    ],
    ids=["float", "no data", "shared kernel", "too long", "no window"],
)
def test_what_cannot_be_rounded_so_is_left_alone(floats):
    assert adaptive_rounding(floats) == {}


def test_what_one_run_worked_out_serves_the_other_format():
    asked = []
    first = floats_of(asked=asked)
    chosen = adaptive_rounding(first)["dense"][0]
    kernel, bias = first.weights["dense"]
    other = {"dense": (kernel * np.float32(1 + 1e-6), bias)}

    again = adaptive_rounding(replace(first, weights=other))["dense"][0]

    assert asked == [{"x"}]
    np.testing.assert_array_equal(again, chosen)


def test_another_kernel_of_the_same_shape_is_worked_out_anew():
    asked = []
    first = floats_of(asked=asked)
    adaptive_rounding(first)
    kernel, bias = first.weights["dense"]

    adaptive_rounding(replace(first, weights={"dense": (kernel[::-1].copy(), bias)}))

    assert len(asked) == 2


def test_a_layer_that_is_float_in_one_format_is_worked_out_for_the_other():
    scope = Scope("dense", precision="fp32", format="tflite")
    floats = floats_of("fp32", recipe=replace(ROUNDED, scopes=(scope,)))
    assert adaptive_rounding(floats) == {}
    assert set(floats.memo) == {"dense"}


def test_the_memo_of_a_format_holds_for_the_very_same_weights_alone():
    samples, floats = Samples(Arrays(X)), floats_of()
    kept = samples.kept(ROUNDED, "tflite", floats.weights)
    kept["dense"] = "worked out"
    kernel, bias = floats.weights["dense"]
    moved = {"dense": (kernel + np.float32(1e-6), bias)}
    floated = replace(ROUNDED, scopes=(Scope("dense", precision="fp32"),))

    assert samples.kept(floated, "tflite", floats.weights) is kept
    assert samples.kept(ROUNDED, "onnx", moved) is kept
    assert samples.kept(replace(ROUNDED, calibrator="mse"), "tflite", floats.weights) == {}
    assert samples.kept(ROUNDED, "tflite", moved) == {}


def test_a_dead_channel_stays_dead():
    kernel = np.random.default_rng(0).normal(size=(24, 10)).astype(np.float32)
    kernel[:, 3] = 0
    chosen = adaptive_rounding(floats_of(weights={"dense": (kernel, np.zeros(10, np.float32))}))
    assert not chosen["dense"][0][:, 3].any()


@pytest.mark.parametrize(("count", "most", "kept"), [(10, 4, [0, 2, 5, 7]), (3, 8, [0, 1, 2])])
def test_some_items_are_evenly_spread(count, most, kept):
    some = Some(Arrays(np.arange(count, dtype=np.float32)[:, np.newaxis]), most)
    found = [batch.x[0] for batch in some.batches(2)]
    assert len(some) == len(kept)
    np.testing.assert_array_equal(np.concatenate(found).ravel(), kept)


# What the engines' own weight quantizers make of it, on real layers.


def rounded_graph(target, graph, x, folder):
    """The float graph with rounded kernels, what was chosen, and the int8 file's anatomy."""
    recipe = replace(ROUNDED, calibrator="minmax")
    ranges = calibrate.clip(target.observe(graph, Arrays(x), Silent()), recipe, graph)
    samples = Samples(Arrays(x))
    ready = prepare.apply(target, graph, ranges, recipe, folder, samples)
    artifact = target.quantize(ready, ranges, recipe, folder / f"int8{target.suffix}")
    ((_, chosen),) = samples.memo.values()
    return ready, chosen, target.anatomy(artifact.path.read_bytes())


def integers(anatomy, step):
    """A step's kernel in steps of its scales, [outputs, -1]."""
    kernel = np.moveaxis(anatomy.kernel(step), anatomy.kernel_axis(step), 0)
    scales = anatomy.kernel_scales(step)
    found = kernel.reshape(len(kernel), -1) / scales.reshape(-1, 1)
    np.testing.assert_allclose(found, np.rint(found), atol=1e-3)
    return np.rint(found)


def assert_survived(target, ready, chosen, anatomy):
    """Every integer that was chosen is in the file, in the place where it was chosen."""
    float_file = target.anatomy(ready.path.read_bytes())
    steps = {step.outputs[0]: step for step in anatomy.steps if step.kernel}
    layers = [layer for layer in target.layers(ready) if layer.name in chosen]
    places = {step.outputs[0]: step for step in float_file.steps}
    weights = target.weights(ready)
    assert layers
    for layer in layers:
        rounded: Rounded = chosen[layer.name]
        np.testing.assert_array_equal(weights[layer.name][0], rounded.kernel)
        place = places[layer.output]
        kernel = np.moveaxis(float_file.kernel(place), float_file.kernel_axis(place), 0)
        meant = np.rint(kernel.reshape(len(kernel), -1) / rounded.scale.reshape(-1, 1))
        np.testing.assert_array_equal(np.sort(meant, axis=None), np.sort(rounded.steps, axis=None))
        np.testing.assert_array_equal(integers(anatomy, steps[layer.output]), meant)


@pytest.mark.parametrize(
    "file",
    [
        "image_classification/pretrainedResnet.tflite",
        "visual_wake_words/vww_96_float.tflite",
    ],
)
def test_ai_edge_quantizer_finds_every_integer_that_was_chosen(shared_data, tmp_path, file):
    path = shared_data / "mlperf-tiny" / file
    inputs, outputs = flatbuffer.specs(flatbuffer.read(path))
    graph = FloatGraph("tflite", path, inputs, outputs)
    x = np.random.default_rng(0).random((4, *inputs[0].shape[1:]), np.float32)

    ready, chosen, anatomy = rounded_graph(TFLITE, graph, x, tmp_path)

    assert_survived(TFLITE, ready, chosen, anatomy)


def onnx_of(weights, folder):
    """Real 3x3 kernels and a depthwise one in a row, and two dense layers behind them."""
    import onnx
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    kernels = [kernel.transpose(3, 2, 0, 1) for kernel, _ in weights]
    kernels.append(rng.normal(size=(16, 1, 3, 3)).astype(np.float32))
    nodes, held, last = [], [], "x"
    for i, kernel in enumerate(kernels):
        bias = rng.normal(size=len(kernel)).astype(np.float32)
        held += [numpy_helper.from_array(kernel, f"w{i}"), numpy_helper.from_array(bias, f"b{i}")]
        group = 16 if kernel.shape[1] == 1 else 1
        nodes.append(
            helper.make_node(
                "Conv", [last, f"w{i}", f"b{i}"], [f"y{i}"], f"n{i}", pads=[1] * 4, group=group
            )
        )
        last = f"y{i}"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["mean"], "mean"))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"], "flat"))
    for name in ("gemm", "matmul"):
        held.append(numpy_helper.from_array(rng.normal(size=(16, 16)).astype(np.float32), name))
    held.append(numpy_helper.from_array(np.zeros(16, np.float32), "c"))
    nodes.append(helper.make_node("Gemm", ["flat", "gemm", "c"], ["z"], "gemm"))
    nodes.append(helper.make_node("MatMul", ["z", "matmul"], ["out"], "matmul"))
    ends = [
        helper.make_tensor_value_info(name, 1, shape)
        for name, shape in (("x", [None, 3, 16, 16]), ("out", [None, 16]))
    ]
    graph = helper.make_graph(nodes, "real", ends[:1], ends[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    onnx.save(model, folder / "float.onnx")
    return folder / "float.onnx"


def test_onnx_runtimes_quantizer_finds_every_integer_that_was_chosen(shared_data, tmp_path):
    from edgeconv.targets.onnx.model import read, specs

    source = shared_data / "mlperf-tiny" / "image_classification" / "pretrainedResnet.tflite"
    inputs, outputs = flatbuffer.specs(flatbuffer.read(source))
    real = list(TFLITE.weights(FloatGraph("tflite", source, inputs, outputs)).values())[:3]
    path = onnx_of(real, tmp_path)
    graph = FloatGraph("onnx", path, *specs(read(path)))
    x = np.random.default_rng(0).random((4, 3, 16, 16), np.float32)

    ready, chosen, anatomy = rounded_graph(ONNX, graph, x, tmp_path)

    assert len(chosen) == 6
    assert_survived(ONNX, ready, chosen, anatomy)
