"""Confidence, margin and calibration, against the plain formulas."""

import math

import numpy as np
import pytest

from edgeconv.verify.confidence import CalibrationMeter
from edgeconv.verify.logits import (
    SMALLEST,
    are_probabilities,
    confidences,
    confidences_of_probabilities,
    margins,
    smallest_of,
    to_logits,
)


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_probabilities_come_back_from_their_logits():
    p = softmax(np.random.default_rng(0).normal(size=(20, 7)))
    assert softmax(to_logits(p, 1e-6)) == pytest.approx(p)
    one = np.array([[0.1], [0.5], [0.9]])
    assert 1 / (1 + np.exp(-to_logits(one, 1e-6))) == pytest.approx(one, rel=1e-4)


def test_a_quantized_probability_of_zero_stays_finite():
    assert np.isfinite(to_logits(np.array([[0.0, 1.0]]), SMALLEST)).all()
    assert np.isfinite(to_logits(np.array([[0.0], [1.0]]), SMALLEST)).all()


def test_what_an_int8_softmax_rounds_away_is_no_certainty():
    """Its rival's 0 stands for anything below half a step, so the margin doesn't grow."""
    p = softmax(np.random.default_rng(0).normal(scale=4, size=(2000, 10)))
    y = p.argmax(1)
    rounded = np.round(256 * p) / 256
    before, after = (margins(to_logits(z, SMALLEST), y) for z in (p, rounded))
    assert abs((after - before).mean()) < 0.02 * before.mean()
    naive = margins(to_logits(rounded, 1e-6), y) - margins(to_logits(p, 1e-6), y)
    assert naive.mean() > 10 * abs((after - before).mean())


def test_small_probabilities_of_a_thousand_classes_add_up_to_little():
    assert smallest_of(10) == pytest.approx(0.001) and smallest_of(2) == SMALLEST
    assert 1000 * smallest_of(1000) == pytest.approx(0.01)


def test_probabilities_are_told_from_scores():
    p = softmax(np.random.default_rng(0).normal(size=(5, 4)))
    assert are_probabilities(p, "linear", 0.0)
    assert not are_probabilities(p, "softmax", 0.0)
    assert not are_probabilities(3 * p, "linear", 0.0)
    assert not are_probabilities(p - 0.25, "linear", 0.0)
    assert are_probabilities(p[:, :1], "linear", 0.5)
    assert not are_probabilities(p[:, :1], "linear", 0.0)


def test_confidence_is_the_probability_of_the_answer():
    x = np.random.default_rng(1).normal(size=(30, 6))
    assert confidences(x, "softmax") == pytest.approx(softmax(x).max(1))
    assert confidences(x, "sigmoid") == pytest.approx(1 / (1 + np.exp(-x.max(1))))
    one = np.array([[-2.0], [0.5]])
    assert confidences(one, "sigmoid") == pytest.approx(1 / (1 + np.exp(-np.abs(one[:, 0]))))


def test_a_probability_is_a_confidence_itself():
    p = np.array([[0.2, 0.7, 0.1], [0.9, 0.3, 0.0]])
    assert confidences_of_probabilities(p).tolist() == [0.7, 0.9]
    assert confidences_of_probabilities(np.array([[0.2], [1.004]])).tolist() == [0.8, 1.0]


def test_a_margin_is_the_lead_over_the_best_rival():
    x = np.array([[1.0, 4.0, 2.5], [1.0, 4.0, 2.5]])
    assert margins(x, np.array([1, 0])).tolist() == [1.5, -3.0]
    assert margins(np.array([[2.0], [2.0]]), np.array([1, 0])).tolist() == [2.0, -2.0]


def plain_ece(confidence, right, bins=15):
    """The definition, bin by bin."""
    total = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            total += inside.mean() * gap
    return 100 * total


def test_calibration_error_is_the_definition_s_whatever_the_batches():
    r = np.random.default_rng(2)
    confidence = r.uniform(0.1, 1.0, 500)
    right = r.uniform(size=500) < confidence**2
    meters = CalibrationMeter(), CalibrationMeter()
    meters[0].add(confidence, right)
    for start in range(0, 500, 7):
        meters[1].add(confidence[start : start + 7], right[start : start + 7])
    assert meters[0].error == pytest.approx(plain_ece(confidence, right))
    assert meters[0].error == meters[1].error


def test_a_model_that_is_as_sure_as_it_is_right_has_no_calibration_error():
    meter = CalibrationMeter()
    meter.add(np.full(1000, 0.8), np.arange(1000) < 800)
    assert meter.error == pytest.approx(0.0, abs=1e-9)
    assert CalibrationMeter().error is None


def test_an_overconfident_model_errs_by_the_gap():
    meter = CalibrationMeter()
    meter.add(np.full(1000, 0.99), np.arange(1000) < 700)
    assert meter.error == pytest.approx(29.0)
    assert not math.isnan(meter.error)
