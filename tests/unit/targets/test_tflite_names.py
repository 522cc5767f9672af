import pytest

from edgeconv.targets.names import layer_of, number_repeats
from edgeconv.types import Recipe, Scope

LAYERS = {
    "Conv1",
    "bn_Conv1",
    "Conv1_relu",
    "block_1_pad",
    "block_1_depthwise",
    "block_1_depthwise_BN",
    "block_1_depthwise_relu",
    "dense",
    "batch_normalization",
    "activation",
    "activation_2",
    "add",
    "inner",
    "inner/conv",
    "shared",
}


@pytest.mark.parametrize(
    ("tensor", "layer"),
    [
        ("Conv1_relu/Relu6;bn_Conv1/batchnorm/add_1;Conv1/convolution;bn_Conv1/x", "Conv1"),
        (
            "block_1_depthwise_relu/Relu6;block_1_depthwise_BN/batchnorm/add_1;"
            "block_1_depthwise/depthwise;block_1_depthwise_BN/batchnorm/mul;block_1_pad/Pad",
            "block_1_depthwise",
        ),
        ("dense/MatMul;dense/BiasAdd;batch_normalization/batchnorm/mul_1;activation/Relu", "dense"),
        ("dense/BiasAdd1", "dense"),
        ("activation_2/Relu;add/Add", "add"),
        ("activation/mul;activation/Relu6;activation/add;activation/truediv", "activation"),
        ("inner/conv/convolution", "inner/conv"),
        ("inner/other/convolution", "inner"),
        ("shared/call2/convolution", "shared"),
        ("Conv1/convolution:0", "Conv1"),
    ],
)
def test_the_layer_with_the_kernel_owns_the_tensor(tensor, layer):
    assert layer_of(tensor, LAYERS) == layer


@pytest.mark.parametrize("tensor", ["arith.constant", "", "Conv1_extra/convolution", "Conv"])
def test_a_tensor_that_begins_with_no_layer_belongs_to_none(tensor):
    assert layer_of(tensor, LAYERS) is None


def test_repeats_are_numbered_in_order():
    assert number_repeats(["sep", "conv", "sep", "sep"]) == ["sep", "conv", "sep#2", "sep#3"]


def test_the_last_matching_scope_wins():
    recipe = Recipe(scopes=(Scope("block_1_*", "fp32"), Scope("block_1_pad", "int16x8")))
    assert recipe.precision_of("block_1_depthwise", "tflite") == "fp32"
    assert recipe.precision_of("block_1_pad", "tflite") == "int16x8"
    assert recipe.precision_of("block_10_pad", "tflite") == "int8"


def test_a_scope_for_a_layer_reaches_its_repeats():
    recipe = Recipe(scopes=(Scope("sep", "fp32"), Scope("conv#2", "fp32")))
    assert recipe.precision_of("sep#2", "tflite") == "fp32"
    assert recipe.precision_of("conv#2", "tflite") == "fp32"
    assert recipe.precision_of("conv", "tflite") == "int8"


def test_a_scope_for_one_format_leaves_the_other_alone():
    recipe = Recipe(
        scopes=(
            Scope("a", "fp32"),
            Scope("*", "int16x8", format="tflite"),
            Scope("b", None, "minmax"),
        )
    )
    assert recipe.precision_of("a", "tflite") == "int16x8"
    assert recipe.precision_of("a", "onnx") == "fp32"
    assert recipe.precision_of("b", "onnx") == "int8"
    assert recipe.calibrator_of("b", "onnx") == "minmax"
    assert recipe.calibrator_of("a", "onnx") == "percentile"
    assert recipe.precisions == ("int8", "fp32", "int16x8")
