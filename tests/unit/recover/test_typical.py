"""The error of typical items."""

import math

import numpy as np
import pytest

from edgeconv.recover import typical_error

LOGITS = np.random.default_rng(0).normal(0, 3, (200, 10))


def test_equal_answers_have_no_error() -> None:
    assert typical_error(LOGITS, LOGITS) == pytest.approx(0.0, abs=1e-12)


def test_it_grows_with_the_noise() -> None:
    noise = np.random.default_rng(1).normal(size=LOGITS.shape)
    errors = [typical_error(LOGITS, LOGITS + s * noise) for s in (0.01, 0.03, 0.1, 0.3)]
    assert errors == sorted(errors) and errors[0] > 0


def test_one_odd_item_outweighs_no_improvement_of_all_others() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, LOGITS.shape)
    worse, better = LOGITS + noise, LOGITS + 0.9 * noise
    better[0] = LOGITS[0] - 10 * LOGITS[0]

    def mean(found: np.ndarray) -> float:
        return float(((found - LOGITS) ** 2).mean())

    assert mean(better) > mean(worse), "the plain mean tells the odd item alone"
    assert typical_error(LOGITS, better) < 0.9 * typical_error(LOGITS, worse)


def test_nan_is_infinitely_wrong() -> None:
    found = LOGITS.copy()
    found[3, 2] = np.nan
    assert typical_error(LOGITS, found) == math.inf
