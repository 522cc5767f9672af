"""Operators that ai-edge-quantizer leaves in float, though TFLite has them in int8."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgeconv.targets.tflite import flatbuffer, integer
from edgeconv.targets.tflite.integer import edit
from edgeconv.targets.tflite.structure import count_operators
from edgeconv.targets.tflite.why import explain_floats
from edgeconv.types import FloatOperator, Layer
from tests.unit.targets.test_tflite_integer import EVERY_CODE, answer, operators

SOURCE = (0.03, -20)
LEAK = 0.3
FUNCTIONS = {
    "ABS": np.abs,
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "EXP": np.exp,
    "LEAKY_RELU": lambda x: np.where(x > 0, x, LEAK * x),
    "LOG": np.log,
    "NEG": lambda x: -x,
}


def sandwich(kind, source, result, *, reads_twice=False):
    """x -> DEQUANTIZE -> ``kind`` -> QUANTIZE -> y, as ai-edge-quantizer writes it."""
    model = schema.ModelT()
    model.version, model.operatorCodes, model.buffers = 3, [], [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.name = [], [], b"main"
    model.subgraphs = [graph]
    x = edit.activation(model, "x", EVERY_CODE.shape, *source)
    inner = [edit.activation(model, name, EVERY_CODE.shape, 1, 0) for name in ("x_f", "layer/y")]
    y = edit.activation(model, "y_quantized", EVERY_CODE.shape, *result)
    for index in inner:
        graph.tensors[index].type, graph.tensors[index].quantization = 0, None
    options = None
    if kind == "LEAKY_RELU":
        options = schema.LeakyReluOptionsT()
        options.alpha = LEAK
    for name in ("DEQUANTIZE", kind):
        edit._VERSIONS.setdefault(name, 1)
    graph.operators = [
        edit.operator(model, "DEQUANTIZE", [x], inner[0]),
        edit.operator(model, kind, [inner[0]], inner[1], options),
        edit.operator(model, "QUANTIZE", [inner[1]], y),
    ]
    outputs = [y, inner[1]] if reads_twice else [y]
    graph.inputs, graph.outputs = np.array([x], np.int32), np.array(outputs, np.int32)
    return model


def ranges_of(kind):
    """Scale and zero point of the source, and of what ``kind`` makes of it."""
    source = (0.03, -129) if kind == "LOG" else SOURCE
    true = FUNCTIONS[kind]((EVERY_CODE.astype(float) - source[1]) * source[0])
    low, high = min(float(true.min()), 0.0), max(float(true.max()), 0.0)
    step = float(np.float32((high - low) / 255))
    return source, true, (step, round(-128 - low / step))


@pytest.mark.parametrize("xnnpack", [False, True])
@pytest.mark.parametrize("kind", sorted(set(FUNCTIONS) - {"LOG"}))
def test_it_computes_in_integers_and_is_as_near_as_integers_can_be(kind, xnnpack):
    source, true, result = ranges_of(kind)
    model = sandwich(kind, source, result)

    integer.rewrite(model)

    assert operators(model) == ["MUL" if kind == "NEG" else kind]
    assert count_operators(model)[1] == {}
    found = (answer(model, EVERY_CODE, xnnpack=xnnpack) - result[1]) * result[0]
    assert np.abs(found - true).max() <= 1.01 * result[0]


@pytest.mark.parametrize("kind", sorted(set(FUNCTIONS) - {"LOG"}))
def test_the_answers_are_those_of_the_float_operator_between(kind):
    source, _, result = ranges_of(kind)
    before = answer(sandwich(kind, source, result), EVERY_CODE, xnnpack=False)
    model = sandwich(kind, source, result)

    integer.rewrite(model)

    assert np.abs(answer(model, EVERY_CODE, xnnpack=False) - before).max() <= 1


def test_a_logarithm_of_what_is_positive_is_looked_up():
    source, result = (0.02, -128), (0.02, 40)
    model = sandwich("LOG", source, result)
    before = answer(model, EVERY_CODE, xnnpack=False).ravel()

    integer.rewrite(model)

    found = answer(model, EVERY_CODE, xnnpack=False).ravel()
    assert operators(model) == ["LOG"]
    assert np.abs(found[1:] - before[1:]).max() <= 1  # the first is log(0)


def test_what_the_recipe_keeps_in_float_stays_there():
    model = sandwich("ELU", *ranges_of("ELU")[::2])

    integer.rewrite(model, {"layer/y"})

    assert operators(model) == ["DEQUANTIZE", "ELU", "QUANTIZE"]


def test_what_is_read_in_float_too_stays_there():
    model = sandwich("ELU", *ranges_of("ELU")[::2], reads_twice=True)

    integer.rewrite(model)

    assert operators(model) == ["DEQUANTIZE", "ELU", "QUANTIZE"]


@pytest.mark.parametrize(
    ("kind", "wanted", "why"),
    [
        ("ELU", {"layer/y"}, "The recipe keeps this layer in float."),
        ("ROUND", set(), "TFLite has no integer kernel for ROUND."),
        (
            "PRELU",
            set(),
            "ai-edge-quantizer has no integer rule for PRELU, or not for these tensors.",
        ),
    ],
)
def test_every_operator_in_float_has_its_layer_and_its_reason(kind, wanted, why):
    model = sandwich(kind, (0.03, 0), (0.03, 0))
    layers = [Layer(name="layer", op=kind, output="layer/y")]

    assert explain_floats(model, layers, wanted) == (FloatOperator(kind, "layer", why),)


def test_an_integer_file_has_no_exceptions():
    model = sandwich("ABS", *ranges_of("ABS")[::2])
    integer.rewrite(model)

    assert explain_floats(flatbuffer.parse(bytes(flatbuffer.to_bytes(model))), [], set()) == ()
