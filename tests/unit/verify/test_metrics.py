"""The streaming meters against the plain formulas, and what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.errors import UsageError
from edgeconv.types import Interval
from edgeconv.verify.answers import divergence, threshold_for
from edgeconv.verify.metrics import Meter
from edgeconv.verify.paired import paired_drop


def measure(reference, candidate, y=None, *, classifies=True, activation="softmax", batch=7):
    meter = Meter(activation, classifies, threshold_for(reference, activation))
    for i in range(0, len(reference), batch):
        part = slice(i, i + batch)
        ids = [f"item {k}" for k in range(i, min(i + batch, len(reference)))]
        meter.add([reference[part]], [candidate[part]], None if y is None else y[part], ids)
    return meter.result()


def logits(n=60, classes=12, noise=0.8, seed=0):
    r = np.random.default_rng(seed)
    y = r.integers(0, classes, n)
    clean = r.normal(size=(n, classes)) + 2.5 * np.eye(classes)[y]
    return clean, clean + noise * r.normal(size=clean.shape), y


def test_accuracies_equal_the_plain_count():
    a, b, y = logits()
    found = measure(a, b, y).metrics
    right_a, right_b = a.argmax(1) == y, b.argmax(1) == y
    in_5 = [y[i] in np.argsort(-b[i])[:5] for i in range(len(y))]
    assert found["top1_reference"] == pytest.approx(100 * right_a.mean())
    assert found["top1"] == pytest.approx(100 * right_b.mean())
    assert found["top5"] == pytest.approx(100 * np.mean(in_5))
    assert found["agreement"] == pytest.approx(100 * np.mean(a.argmax(1) == b.argmax(1)))
    assert found["top1_drop"] == paired_drop(
        int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum()), len(y)
    )


def test_divergence_and_noise_equal_the_plain_formulas():
    a, b, _ = logits()
    found = measure(a, b).metrics
    p, q = (np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in (a, b))
    assert found["mean_kl"] == pytest.approx((p * np.log(p / q)).sum(1).mean())
    assert found["sqnr_db"] == pytest.approx(10 * np.log10((a**2).sum() / ((a - b) ** 2).sum()))
    assert found["max_relative_difference"] == pytest.approx(100 * abs(a - b).max() / abs(a).max())


def test_other_tasks_get_error_and_angle():
    a, b, _ = logits(classes=9)
    found = measure(a, b, classifies=False).metrics
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    error = np.linalg.norm(a - b)
    assert found["relative_error"] == pytest.approx(100 * error / np.linalg.norm(a))
    assert found["spread_error"] == pytest.approx(100 * error / np.linalg.norm(a - a.mean(0)))
    assert found["cosine_mean"] == pytest.approx(cosine.mean())
    assert found["cosine_min"] == pytest.approx(cosine.min())
    assert "agreement" not in found and "top1" not in found


@given(st.integers(1, 60), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_batch_size_changes_nothing(batch, classifies):
    a, b, y = logits()
    whole = measure(a, b, y, classifies=classifies, batch=60)
    assert measure(a, b, y, classifies=classifies, batch=batch).metrics == whole.metrics


def test_labels_are_not_needed():
    a, b, _ = logits()
    found = measure(a, b)
    assert not found.labelled and "top1" not in found.metrics
    assert isinstance(found.metrics["agreement_interval"], Interval)


def test_top_5_of_five_classes_says_nothing_and_is_left_out():
    a, b, y = logits(classes=5)
    assert "top5" not in measure(a, b, y).metrics
    a, b, y = logits(classes=6)
    assert "top5" in measure(a, b, y).metrics


def test_of_equal_scores_the_lowest_index_wins():
    tie = np.zeros((2, 8))
    found = measure(tie, tie, np.array([0, 5])).metrics
    # Class 0 wins the tie; class 5 is the sixth of eight equals, so not among five.
    assert found["top1"] == 50.0 and found["top5"] == 50.0


def test_one_sigmoid_unit_says_yes_beyond_zero():
    reference = np.array([[-2.0], [0.5], [3.0], [-0.1]])
    candidate = np.array([[-1.0], [-0.5], [2.0], [-0.2]])
    found = measure(reference, candidate, np.array([0, 1, 1, 1]), activation="sigmoid").metrics
    assert found["top1_reference"] == 75.0 and found["top1"] == 50.0
    assert found["agreement"] == 75.0


def test_a_sigmoid_kept_inside_is_cut_at_one_half():
    reference = np.array([[0.1], [0.4], [0.8], [0.9]])
    candidate = np.array([[0.2], [0.6], [0.7], [0.4]])
    assert measure(reference, candidate, activation="linear").metrics["agreement"] == 50.0


def test_sigmoid_divergence_sums_the_units():
    a, b = np.array([[0.3, -1.0]]), np.array([[0.1, 2.0]])
    p, q = 1 / (1 + np.exp(-a)), 1 / (1 + np.exp(-b))
    plain = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum()
    assert divergence(a, b, "sigmoid") == pytest.approx([plain])


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=6),
    st.floats(-1e4, 1e4),
    st.sampled_from(["softmax", "sigmoid", "linear"]),
)
@settings(max_examples=200, deadline=None)
def test_divergence_is_finite_and_never_negative(row, shift, activation):
    a = np.array([row])
    b = a[:, ::-1] + shift
    found = divergence(a, b, activation)
    assert np.isfinite(found).all() and (found >= 0).all()
    assert (divergence(a, a, activation) == 0).all()


def test_softmax_divergence_ignores_a_common_shift():
    a, b, _ = logits()
    assert divergence(a, b + 1e4, "softmax") == pytest.approx(divergence(a, b, "softmax"))


@pytest.mark.parametrize(("difference", "equivalent"), [(0.0, True), (9e-4, True), (1.2e-3, False)])
def test_equivalence_ends_at_a_thousandth(difference, equivalent):
    a = np.array([[0.0, 10.0], [8.0, 1.0]])
    b = a.copy()
    b[0, 1] += 10 * difference
    assert measure(a, b).equivalent is equivalent


def test_one_other_answer_is_not_equivalent_however_close():
    a = np.array([[1.0, 1.00001]])
    assert not measure(a, a[:, ::-1]).equivalent


def test_a_perfect_copy_has_no_noise_to_relate_to():
    a, _, y = logits()
    found = measure(a, a, y)
    assert found.equivalent and found.metrics["sqnr_db"] is None
    assert found.metrics["mean_kl"] == 0.0 and found.metrics["agreement"] == 100.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_broken_answer_counts_as_wrong_and_is_named(bad):
    a, _, _ = logits()
    b = a.copy()
    b[3, 2] = bad
    found = measure(a, b, a.argmax(1))
    assert found.broken == ("item 3",) and not found.equivalent
    assert found.metrics["agreement"] == pytest.approx(100 * 59 / 60)
    assert found.metrics["top1"] == pytest.approx(100 * 59 / 60)
    assert found.metrics["top5"] == pytest.approx(100 * 59 / 60)
    assert found.metrics["mean_kl"] is None and found.metrics["sqnr_db"] is None


def test_every_answer_broken_is_still_measured():
    a, _, y = logits()
    found = measure(a, np.full_like(a, math.nan), y)
    assert len(found.broken) == 60 and found.metrics["top1"] == 0.0


def test_a_broken_further_output_breaks_the_item():
    meter = Meter("softmax", True)
    a = np.eye(3)
    meter.add([a, a], [a, np.array([[1, 0, 0], [0, math.nan, 0], [0, 0, 1.0]])], None, "abc")
    assert meter.result().broken == ("b",)


def test_the_worst_further_output_is_reported_and_denies_equivalence():
    meter = Meter("softmax", True)
    a = np.eye(3) + 1
    meter.add([a, a, a], [a, a * 1.5, a * 1.25], None, "abc")
    found = meter.result()
    assert found.metrics["other_outputs_relative_error"] == pytest.approx(50.0)
    assert not found.equivalent


def test_other_shapes_are_refused_in_words():
    meter = Meter("softmax", True, name="other.tflite")
    with pytest.raises(UsageError, match=r"other\.tflite answers with shapes"):
        meter.add([np.zeros((2, 10))], [np.zeros((2, 12))], None, "ab")


def test_axes_of_length_one_are_no_other_shape():
    meter = Meter("softmax", True)
    meter.add([np.eye(4)], [np.eye(4).reshape(4, 1, 1, 4)], None, "abcd")
    assert meter.result().metrics["agreement"] == 100.0


@pytest.mark.parametrize("label", [-1, 12, 2**40])
def test_a_label_that_the_model_lacks_is_refused(label):
    a, b, y = logits()
    y[17] = label
    with pytest.raises(UsageError, match=f"class {label}, but the model has 12"):
        measure(a, b, y)


def test_zero_vectors_have_no_angle_between_them():
    a, b = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 0.0]])
    found = measure(a, b, classifies=False).metrics
    assert (found["cosine_mean"], found["cosine_min"]) == (0.5, 0.0)


def test_a_single_unit_has_no_angle():
    a = np.array([[1.0], [2.0]])
    assert "cosine_mean" not in measure(a, -a, classifies=False).metrics


def test_a_reference_of_zeros_has_no_relative_error():
    a = np.zeros((3, 2))
    assert measure(a, a + 1, classifies=False).metrics["relative_error"] is None
    assert measure(a, a, classifies=False).metrics["relative_error"] == 0.0
    assert measure(a, a, classifies=False).equivalent


def test_always_answering_the_mean_is_an_error_of_the_whole_spread():
    a, _, _ = logits()
    constant = np.broadcast_to(a.mean(0), a.shape)
    assert measure(a, constant, classifies=False).metrics["spread_error"] == pytest.approx(100.0)


def test_a_reference_that_never_varies_has_no_spread():
    a = np.full((5, 3), 0.1)
    assert measure(a, a + 1, classifies=False).metrics["spread_error"] is None
