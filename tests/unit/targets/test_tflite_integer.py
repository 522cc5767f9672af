"""The rewrites of int8 files: the same integers, by operators that XNNPACK has."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgeconv.targets.tflite import flatbuffer, integer
from edgeconv.targets.tflite.depthwise import grouped_to_depthwise
from edgeconv.targets.tflite.integer import edit
from edgeconv.targets.tflite.whole_average import whole_averages_by_mean

EVERY_CODE = np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 16, 1)


def model_of(kind, shape, source, result, options=None, made=None):
    """A file with the one operator ``kind``; ``source`` and ``result``: scale and zero point."""
    model = schema.ModelT()
    model.version, model.operatorCodes, model.buffers = 3, [], [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.name = [], [], b"main"
    model.subgraphs = [graph]
    x = edit.activation(model, "x", shape, *source)
    y = edit.activation(model, "layer/y", made or shape, *result)
    edit._VERSIONS.setdefault(kind, 1)
    graph.operators.append(edit.operator(model, kind, [x], y, options))
    graph.inputs, graph.outputs = np.array([x], np.int32), np.array([y], np.int32)
    return model


def operators(model):
    names = flatbuffer.operator_names(model)
    return [names[found.opcodeIndex] for found in model.subgraphs[0].operators]


def answer(model, x, *, xnnpack=True):
    """The output's integers."""
    kinds = [OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO]
    interpreter = Interpreter(
        model_content=bytes(flatbuffer.to_bytes(model)),
        num_threads=1,
        experimental_op_resolver_type=kinds[xnnpack],
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return found if found.dtype == np.float32 else found.astype(int)


def pool(size, stride, padding):
    options = schema.Pool2DOptionsT()
    options.filterHeight, options.filterWidth = size
    options.strideH = options.strideW = stride
    options.padding = padding
    return options


@pytest.mark.parametrize("source", [(0.05, 0), (0.05, -128), (0.011, 31), (0.4, -3)])
@pytest.mark.parametrize("xnnpack", [False, True])
def test_relu_becomes_a_requantization_with_the_same_answers(source, xnnpack):
    model = model_of("RELU", EVERY_CODE.shape, source, (0.03, -128))
    before = answer(model, EVERY_CODE, xnnpack=False)

    integer.rewrite(model)

    assert operators(model) == ["QUANTIZE"]
    # Halves are rounded up by one and to even by the other.
    assert np.abs(answer(model, EVERY_CODE, xnnpack=xnnpack) - before).max() <= 1


def test_a_relu_whose_lowest_integer_is_not_0_stays():
    model = model_of("RELU", EVERY_CODE.shape, (0.05, 0), (0.05, 0))

    integer.rewrite(model)

    assert operators(model) == ["RELU"]


@pytest.mark.parametrize("source", [(0.05, 0), (0.02, -100), (0.2, 40), (1e-4, 0)])
@pytest.mark.parametrize("xnnpack", [False, True])
def test_hard_swish_by_products_is_nearest_to_the_true_one(source, xnnpack):
    scale, zero = source
    x = (EVERY_CODE.astype(float) - zero) * scale
    true = x * np.clip(x / 6 + 0.5, 0, 1)
    step = (true.max() - true.min()) / 255
    result = (float(np.float32(step)), round(-128 - float(true.min()) / step))
    model = model_of("HARD_SWISH", EVERY_CODE.shape, source, result)

    integer.rewrite(model)

    assert operators(model) == ["MUL", "ADD", "MUL"]
    found = (answer(model, EVERY_CODE, xnnpack=xnnpack) - result[1]) * step
    # Half a step of the gate, which is 1/254, where it is neither 0 nor 1; then the output's.
    assert np.all(np.abs(found - true) <= np.minimum(np.abs(x), 3) / 508 + 0.75 * step)


@pytest.mark.parametrize(
    ("size", "stride", "padding", "made"),
    [
        ((3, 3), 1, "SAME", (1, 7, 9, 5)),
        ((3, 3), 2, "SAME", (1, 4, 5, 5)),
        ((2, 2), 2, "VALID", (1, 3, 4, 5)),
        ((1, 1), 2, "VALID", (1, 4, 5, 5)),
        ((2, 3), 1, "SAME", (1, 7, 9, 5)),
    ],
)
@pytest.mark.parametrize("xnnpack", [False, True])
def test_an_average_becomes_a_convolution_that_knows_the_border(
    size, stride, padding, made, xnnpack
):
    options = pool(size, stride, getattr(schema.Padding, padding))
    model = model_of("AVERAGE_POOL_2D", (1, 7, 9, 5), (0.1, 7), (0.1, 7), options, made)
    x = np.random.default_rng(0).integers(-128, 128, (1, 7, 9, 5), np.int8)
    before = answer(model, x, xnnpack=False)

    integer.rewrite(model)

    assert operators(model)[0] == "DEPTHWISE_CONV_2D"
    difference = np.abs(answer(model, x, xnnpack=xnnpack) - before)
    # Rounded once within; in a corner, where 4 of 9 values count, the first rounding grows.
    assert difference.max() <= 2
    assert difference[:, 1:-1, 1:-1].max() <= 1


def test_a_large_window_stays_a_pool():
    options = pool((7, 7), 1, schema.Padding.VALID)
    model = model_of("AVERAGE_POOL_2D", (1, 7, 7, 8), (0.1, 0), (0.1, 0), options, (1, 1, 1, 8))

    integer.rewrite(model)

    assert operators(model) == ["AVERAGE_POOL_2D"]


def test_an_average_over_the_whole_picture_has_steps_of_its_own():
    options = pool((7, 7), 1, schema.Padding.VALID)
    model = model_of("AVERAGE_POOL_2D", (1, 7, 7, 8), (0.1, 0), (0.01, 0), options, (1, 1, 1, 8))
    x = np.random.default_rng(0).integers(-30, 31, (1, 7, 7, 8), np.int8)

    whole_averages_by_mean(model, floats=())

    assert operators(model) == ["MEAN"]
    true = x.mean(axis=(1, 2), keepdims=True, dtype=float) * 0.1
    np.testing.assert_allclose(answer(model, x) * 0.01, true, atol=0.5 * 0.01 + 1e-4)


def test_an_average_of_parts_or_in_float_stays_a_pool():
    parts = pool((7, 6), 1, schema.Padding.VALID)
    whole = pool((7, 7), 1, schema.Padding.VALID)
    for options, made, floats in (
        (parts, (1, 1, 2, 8), ()),
        (whole, (1, 1, 1, 8), ("layer/y",)),
    ):
        model = model_of("AVERAGE_POOL_2D", (1, 7, 7, 8), (0.1, 0), (0.1, 0), options, made)
        whole_averages_by_mean(model, floats)
        assert operators(model) == ["AVERAGE_POOL_2D"]


def test_pools_of_one_kind_share_their_constants():
    options = pool((3, 3), 1, schema.Padding.SAME)
    model = model_of("AVERAGE_POOL_2D", (1, 7, 7, 8), (0.1, 0), (0.1, 0), options)
    graph = model.subgraphs[0]
    z = edit.activation(model, "z", (1, 7, 7, 8), 0.1, 0)
    graph.operators.append(edit.operator(model, "AVERAGE_POOL_2D", [1], z, options))
    graph.outputs = np.array([z], np.int32)

    integer.rewrite(model)

    first, _, second, _ = graph.operators
    assert list(first.inputs[1:]) == list(second.inputs[1:])


@pytest.mark.parametrize("kind", ["RELU", "HARD_SWISH"])
def test_what_computes_in_float_is_left_alone(kind):
    model = model_of(kind, (1, 4), (0.1, 0), (0.1, -128))
    for tensor in model.subgraphs[0].tensors:
        tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None

    integer.rewrite(model)

    assert operators(model) == [kind]


@pytest.mark.parametrize("xnnpack", [False, True])
def test_a_squared_difference_becomes_the_square_of_a_difference(xnnpack):
    model = model_of("SQUARED_DIFFERENCE", (1, 4, 8), (0.05, 10), (0.1, -128))
    graph = model.subgraphs[0]
    mean = edit.constant(model, "mean", np.full((1, 4, 1), 20, np.int8), [0.05])
    graph.operators[0].inputs = np.array([0, mean], np.int32)
    x = np.random.default_rng(0).integers(-70, 127, (1, 4, 8), np.int8)
    true = ((x.astype(float) - 10) * 0.05 - 1.0) ** 2

    integer.rewrite(model)

    assert operators(model) == ["SUB", "MUL"]
    found = (answer(model, x, xnnpack=xnnpack) + 128) * 0.1
    # Two steps of the square where it is largest, and the square's own half step.
    assert np.all(np.abs(found - np.minimum(true, 25.5)) <= 0.26)


def test_a_convolution_of_one_channel_a_group_becomes_a_depthwise_one():
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = 1
    model = model_of("CONV_2D", (1, 5, 5, 3), (1.0, 0), (1.0, 0), options, (1, 5, 5, 6))
    graph = model.subgraphs[0]
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(6, 3, 3, 1)).astype(np.float32)
    for name, value in (("kernel", kernel), ("bias", kernel[:, 0, 0, 0])):
        at = edit.constant(model, name, np.zeros(value.shape, np.int32), [1.0])
        data = np.frombuffer(value.tobytes(), np.uint8)
        model.buffers[graph.tensors[at].buffer].data = data
        graph.operators[0].inputs = np.append(graph.operators[0].inputs, np.int32(at))
    for tensor in graph.tensors:
        tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    x = rng.normal(size=(1, 5, 5, 3)).astype(np.float32)
    before = answer(model, x)

    grouped_to_depthwise(model)

    assert operators(model) == ["DEPTHWISE_CONV_2D"]
    assert list(graph.tensors[graph.operators[0].inputs[1]].shape) == [1, 3, 3, 6]
    np.testing.assert_allclose(answer(model, x), before, rtol=1e-5, atol=1e-6)
