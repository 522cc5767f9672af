"""Mistakes after the model, on answers made here."""

from collections.abc import Iterator

import numpy as np
import pytest

from edgeconv.preprocess import Preprocess
from edgeconv.runtime.answers import activate
from edgeconv.types import Array, Batch
from edgeconv.verify.skew import Suspicion, suspect

VECTORS = Preprocess(kind="array")
RNG = np.random.default_rng(7)
LOGITS = RNG.normal(size=(24, 40)) * 3
X = RNG.normal(size=(24, 5)).astype(np.float32)


class Numbered:
    """Items that say which they are: the answers are looked up by the first number."""

    def __init__(self, x: Array = X) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def batches(self, size: int) -> Iterator[Batch]:
        yield Batch((self.x,), None, tuple(str(i) for i in range(len(self.x))))

    def with_preprocess(self, preprocess: Preprocess) -> "Numbered":
        return self


def asked(answers: Array, truth: Array = LOGITS, **options: object) -> tuple[Suspicion, ...]:
    """Of a model that gives ``answers`` to X, and nonsense to anything else."""

    def run(x: Array) -> list[Array]:
        places = [np.flatnonzero((row == X).all(axis=1)) for row in x]
        noise = np.random.default_rng(1).normal(size=answers.shape[1])
        return [np.stack([answers[p[0]] if len(p) else noise for p in places])]

    settings = {"activation": "softmax", **options}
    return suspect(run, Numbered(), VECTORS, truth, **settings)  # type: ignore[arg-type]


def softmax(x: Array) -> Array:
    return activate(x, "softmax")


@pytest.mark.parametrize("step", [-1, 1])
def test_class_indices_shifted_by_one_are_named(step: int):
    (found,) = asked(np.roll(LOGITS, step, axis=1))
    assert found.kind == "labels-shifted" and found.after == 100.0 and found.before < 20
    assert ("before" if step == 1 else "after") in found.sentence


@pytest.mark.parametrize("first", [True, False])
def test_a_background_class_is_named(first: bool):
    extra = np.full((24, 1), -5.0)
    answers = np.hstack([extra, LOGITS] if first else [LOGITS, extra])
    (found,) = asked(answers)
    assert found.kind == "labels-shifted" and found.after == 100.0
    assert f"the {'first' if first else 'last'} class is left out" in found.sentence


def test_another_number_of_classes_is_no_shift():
    assert asked(RNG.normal(size=(24, 41))) == ()
    assert asked(RNG.normal(size=(24, 17))) == ()


def test_probabilities_in_place_of_logits_are_a_second_softmax():
    (found,) = asked(softmax(LOGITS))
    assert found.kind == "double-softmax" and found.measure == "mean KL"
    assert found.before is not None and found.after < 1e-6 < found.before


def test_probabilities_in_steps_of_8_bits_are_recognized():
    (found,) = asked(np.round(softmax(LOGITS) * 256) / 256)
    assert found.kind == "double-softmax"


def test_softmax_of_softmax_inside_the_file_is_recognized():
    (found,) = asked(softmax(softmax(LOGITS)))
    assert found.kind == "double-softmax" and found.after < 1e-6


def test_softmax_of_softmax_is_recognized_where_the_reference_keeps_its_own():
    (found,) = asked(softmax(softmax(LOGITS)), softmax(LOGITS), activation="linear")
    assert found.kind == "double-softmax"


def test_probabilities_on_both_sides_are_no_second_softmax():
    assert asked(softmax(LOGITS), softmax(LOGITS), activation="linear") == ()
    assert asked(softmax(LOGITS * 1.1), softmax(LOGITS), activation="linear") == ()


@pytest.mark.parametrize(("scale", "zero_point"), [(0.1, 13), (0.07, -100), (0.2, 128)])
def test_raw_integers_are_not_dequantized(scale: float, zero_point: int):
    raw = np.clip(np.rint(LOGITS / scale + zero_point), -200, 255)
    (found,) = asked(raw)
    assert found.kind == "not-dequantized" and found.measure == "relative error"
    assert found.before is not None and found.after < 10 < found.before
    assert f"q * {scale:.2g}"[:6] in found.sentence


def test_raw_integers_of_a_regression_are_not_dequantized():
    raw = np.rint(LOGITS / 0.1 + 5)
    (found,) = asked(raw, classifies=False, activation="linear")
    assert found.kind == "not-dequantized"


def test_integers_that_say_nothing_are_no_forgotten_dequantization():
    assert asked(RNG.integers(-128, 128, LOGITS.shape).astype(float)) == ()


def test_whole_numbers_on_both_sides_are_no_forgotten_dequantization():
    assert asked(np.rint(LOGITS) + 40, np.rint(LOGITS), classifies=False) == ()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_not_finite_are_suspected_of_nothing(value: float):
    answers = LOGITS.copy()
    answers[3, 4] = value
    assert asked(answers) == ()


def test_a_single_unit_and_a_constant_reference_are_borne():
    one = LOGITS[:, :1]
    assert asked(one, one) == ()
    assert asked(-one, one) == ()
    assert asked(LOGITS, np.ones_like(LOGITS)) == ()


def test_a_model_that_refuses_everything_is_suspected_of_nothing():
    from edgeconv.errors import UsageError

    def refuses(x: Array) -> list[Array]:
        raise UsageError("The model did not take the input.")

    assert suspect(refuses, Numbered(), VECTORS, LOGITS) == ()
