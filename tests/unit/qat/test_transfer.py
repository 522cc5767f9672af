"""What was trained in TFLite, handed to a graph of either format."""

import numpy as np
import pytest

from edgeconv.errors import Unsupported
from edgeconv.qat import Taught, transfer_ranges, transfer_weights
from edgeconv.types import Array, TensorRange, Weights

RANDOM = np.random.default_rng(0)
KERNEL = RANDOM.normal(size=(3, 3, 4, 6)).astype(np.float32)
BIAS = RANDOM.normal(size=6).astype(np.float32)
TRAINED = (KERNEL * np.float32(1.01), BIAS + np.float32(0.25))


def taught(begin: Weights | None = None, **ranges: tuple[float, float]) -> Taught:
    return Taught(
        begin or {"conv": (KERNEL, BIAS)},
        {"conv": TRAINED},
        {name: TensorRange(low, high) for name, (low, high) in ranges.items()},
        (),
    )


def weights(kernel: Array, bias: Array | None) -> Weights:
    return {"conv": (kernel, bias), "other": (KERNEL, None)}


def test_the_graph_that_was_trained_gets_its_weights() -> None:
    found = transfer_weights(taught(), weights(KERNEL, BIAS))
    assert list(found) == ["conv"]
    np.testing.assert_array_equal(found["conv"][0], TRAINED[0])
    np.testing.assert_allclose(found["conv"][1], TRAINED[1], rtol=1e-6)


def test_a_bias_with_a_constant_in_it_keeps_the_constant() -> None:
    _, bias = transfer_weights(taught(), weights(KERNEL, BIAS - 3))["conv"]
    np.testing.assert_allclose(bias, BIAS - 3 + 0.25, rtol=1e-5)


def test_a_layer_without_a_bias_gets_none() -> None:
    assert transfer_weights(taught(), weights(KERNEL, None))["conv"][1] is None


@pytest.mark.parametrize(
    "kernel", [KERNEL[..., :5], KERNEL * 2, KERNEL.transpose(1, 0, 2, 3), -KERNEL]
)
def test_a_kernel_that_was_not_trained_is_left_alone_and_said_so(kernel: Array) -> None:
    with pytest.raises(Unsupported, match="No layer") as caught:
        transfer_weights(taught(), weights(kernel, None))
    assert "--qat" in caught.value.hint


def _ranges(**ends: tuple[float, float]) -> dict[str, TensorRange]:
    return {name: TensorRange(low, high) for name, (low, high) in ends.items()}


SEEN_IN_TFLITE = (
    _ranges(a=(-2.0, 6.0), b=(-1.0, 5.0), relu=(0.0, 5.0)),
    {"a": "block", "b": "swish", "relu": "tail"},
)


def test_a_tensor_of_the_same_name_gets_the_learned_range() -> None:
    given = _ranges(a=(-2.0, 6.0), b=(-1.0, 5.0))
    found = transfer_ranges(taught(a=(-1.0, 3.0)), given, SEEN_IN_TFLITE, SEEN_IN_TFLITE)
    assert (found["a"].low, found["a"].high) == (-1.0, 3.0)
    assert found["b"] == given["b"]


def test_a_multiple_within_the_same_layer_gets_a_multiple() -> None:
    """ONNX multiplies by 1/6 behind a hard-swish, TFLite has it in the operator."""
    given = _ranges(swish=(-6.0, 30.0))
    seen = given, {"swish": "swish"}
    found = transfer_ranges(taught(b=(-0.5, 4.0)), given, seen, SEEN_IN_TFLITE)
    assert (found["swish"].low, found["swish"].high) == pytest.approx((-3.0, 24.0))


def test_the_same_values_in_a_layer_of_another_name_are_recognized() -> None:
    given = _ranges(other=(-2.0, 6.001))
    found = transfer_ranges(taught(a=(-1.0, 3.0)), given, (given, {}), SEEN_IN_TFLITE)
    assert found["other"].high == pytest.approx(3.0)


@pytest.mark.parametrize("ends", [(-2.0, 7.0), (0.0, 6.0), (-2.1, 6.0)])
def test_other_values_keep_their_range(ends: tuple[float, float]) -> None:
    given = _ranges(other=ends)
    found = transfer_ranges(taught(a=(-1.0, 3.0)), given, (given, {}), SEEN_IN_TFLITE)
    assert found == given


def test_a_range_that_two_tensors_with_different_factors_held_is_left_alone() -> None:
    seen = _ranges(a=(-2.0, 6.0), b=(-2.0, 6.0)), {}
    given = _ranges(other=(-2.0, 6.0))
    found = transfer_ranges(
        taught(a=(-1.0, 3.0), b=(-2.0, 6.0)), given, (given, {"other": "x"}), seen
    )
    assert found == given
