"""A float conversion has to be the same function; a difference has to have a name."""

from pathlib import Path

import numpy as np
import pytest

from edgeconv.errors import RefusedInput, Unsupported
from edgeconv.preprocess import Preprocess
from edgeconv.types import Artifact, Batch, Recipe, SourceModel
from edgeconv.verify import Disagreement, check_conversion, named

X = np.random.default_rng(5).normal(size=(20, 6)).astype(np.float32)


class Arrays:
    name, fingerprint, labelled = "arrays", "0" * 64, False

    def __len__(self):
        return len(X)

    def batches(self, size):
        for i in range(0, len(X), size):
            part = X[i : i + size]
            yield Batch((part,), None, tuple(f"array {i + k}" for k in range(len(part))))


ARTIFACT = Artifact("onnx", "fp32", Path("model.onnx"), "", 1, (), (), Recipe(), {}, {})
SOURCE = SourceModel(
    *("toy", Path("graph.pb"), (), (), "linear", "raw"), Preprocess(kind="array"), (), (), {}
)


def two_outputs(first=1.0, second=1.0):
    return lambda x: (np.tanh(x) * np.float32(first), x[:, :2] * np.float32(second))


def check(runner, reference=None):
    check_conversion(ARTIFACT, runner, reference or two_outputs()(X), Arrays(), SOURCE)


def test_rounding_is_no_other_function():
    check(two_outputs(1 + 1e-5, 1 - 1e-5))


@pytest.mark.parametrize("factors", [(1.01, 1.0), (1.0, 1.01)])
def test_any_output_that_differs_is_a_lost_conversion(factors):
    with pytest.raises(Unsupported, match="not the same function as toy: its outputs differ by 1%"):
        check(two_outputs(*factors))


def test_a_conversion_to_nan_is_lost():
    with pytest.raises(Unsupported, match="NaN or infinity to array 0"):
        check(two_outputs(np.nan))


def test_an_original_of_zeros_can_only_be_matched_by_zeros():
    zeros = [np.zeros((20, 6)), np.zeros((20, 2))]
    with pytest.raises(Unsupported, match="its outputs differ"):
        check(two_outputs(), zeros)
    check(two_outputs(0.0, 0.0), zeros)


def test_nan_in_the_original_s_weights_is_the_original_s_fault():
    broken = two_outputs(np.nan)
    with pytest.raises(RefusedInput, match="original model answers NaN"):
        check(broken, list(broken(X)))


LABELS = ("cat", "dog")


@pytest.mark.parametrize(
    ("candidate", "expected", "labels", "shown"),
    [
        (1, 0, LABELS, ("cat", "dog", "cat")),
        (-1, 1, LABELS, ("cat", "NaN", "dog")),
        (7, None, LABELS, ("cat", "class 7", None)),
        (1, 0, (), ("0", "1", "0")),
    ],
)
def test_answers_are_named_by_their_labels(candidate, expected, labels, shown):
    row = named(Disagreement("m.tflite", "a.jpg", 0, candidate, expected), labels)
    assert (row["reference"], row["candidate"], row["expected"]) == shown
    assert (row["file"], row["item"]) == ("m.tflite", "a.jpg")
