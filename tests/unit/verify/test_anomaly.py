"""AUC of an anomaly score: against scikit-learn, against counting, and its interval."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from edgeconv.verify.anomaly import AnomalyMeter, paired_auc, scores_of


def case(seed=0, n=300, share=0.3, noise=0.4, ties=False):
    r = np.random.default_rng(seed)
    y = r.uniform(size=n) < share
    a = r.normal(size=n) + 1.2 * y
    b = a + noise * r.normal(size=n)
    return (np.round(a, 1), np.round(b, 1), y) if ties else (a, b, y)


@pytest.mark.parametrize("ties", [False, True])
def test_the_areas_are_scikit_learn_s(ties):
    a, b, y = case(ties=ties)
    found = paired_auc(a, b, y)
    assert found.reference == pytest.approx(100 * roc_auc_score(y, a))
    assert found.candidate == pytest.approx(100 * roc_auc_score(y, b))
    assert found.drop.estimate == pytest.approx(found.reference - found.candidate)


def test_delong_s_variance_is_that_of_the_plain_double_sum():
    a, b, y = case(n=60)

    def kernel(scores):
        pairs = scores[y][:, None] - scores[~y][None, :]
        return (pairs > 0) + 0.5 * (pairs == 0)

    difference = kernel(a) - kernel(b)
    v10, v01 = difference.mean(1), difference.mean(0)
    deviation = 100 * np.sqrt(v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01))
    drop = paired_auc(a, b, y).drop
    reach = max(1.6449 * deviation, 100 * 1.6449**2 / (min(y.sum(), (~y).sum()) + 1.6449**2))
    assert drop.upper95 - drop.estimate == pytest.approx(reach, rel=1e-3)


def test_the_interval_covers_a_difference_that_is_none():
    """Two scores of the same quality: the one-sided bounds err in about 5%, never more."""
    r, missed = np.random.default_rng(3), 0
    for _ in range(400):
        y = np.arange(400) < 150
        base = r.normal(size=400) + y
        a, b = base + 0.7 * r.normal(size=400), base + 0.7 * r.normal(size=400)
        missed += paired_auc(a, b, y).drop.lower95 > 0
    assert missed <= 36  # binomial(400, 5%), once in a thousand


def test_two_perfect_scores_of_few_items_prove_little():
    y = np.array([False, False, False, True, True])
    drop = paired_auc(np.arange(5.0), np.arange(5.0), y).drop
    assert drop.estimate == 0.0 and drop.upper95 > 50


def test_labels_of_one_kind_or_of_classes_have_no_curve():
    scores = np.arange(4.0)
    for y in ([0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 2, 0]):
        meter = AnomalyMeter()
        meter.add(scores, scores, np.array(y))
        assert meter.result() is None


def test_batches_change_nothing():
    a, b, y = case()
    meter = AnomalyMeter()
    for start in range(0, 300, 7):
        part = slice(start, start + 7)
        meter.add(a[part], b[part], y[part].astype(np.int64))
    assert meter.result() == paired_auc(a, b, y)


def test_the_score_is_the_mean_squared_error_of_the_reconstruction():
    assert scores_of(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]])).tolist() == [2.5]
