"""Which metrics each task gets, through the meter, and that none of them grows."""

import tracemalloc

import numpy as np
import pytest

from edgeconv.metric_names import describe_metric
from edgeconv.types import Interval
from edgeconv.verify.metrics import Meter

R = np.random.default_rng(7)


def measure(reference, candidate, y=None, x=None, *, task, activation="softmax", batch=7):
    classifies = task == "classification" and reference[0].ndim == 2
    meter = Meter(activation, classifies, task=task)
    for start in range(0, len(reference[0]), batch):
        part = slice(start, start + batch)
        truth, answers = [a[part] for a in reference], [b[part] for b in candidate]
        ids = [f"item {i}" for i in range(len(truth[0]))]
        meter.add(
            truth,
            answers,
            None if y is None else y[part],
            ids,
            None if x is None else [x[part]],
        )
    return meter.result().metrics


def classifier(n=200, classes=12, noise=0.5):
    y = R.integers(0, classes, n)
    a = R.normal(size=(n, classes)) + 3 * np.eye(classes)[y]
    return a, a + noise * R.normal(size=a.shape), y


def test_a_classifier_has_every_metric_that_the_contract_names():
    a, b, y = classifier()
    found = measure([a], [b], y, task="classification")
    assert {
        *("top1", "top1_reference", "top1_drop", "top5", "top5_reference", "top5_drop"),
        *("agreement", "agreement_interval", "worst_class_drop", "worst_class", "ece"),
        *("ece_reference", "mean_kl", "mean_kl_interval", "margin_change", "margin_reference"),
        *("worst_class_samples", "sqnr_db", "max_relative_difference"),
    } == set(found)


@pytest.mark.parametrize(
    ("task", "outputs", "y"),
    [
        ("classification", R.normal(size=(30, 8)), np.arange(30) % 8),
        ("classification", R.normal(size=(30, 6, 8)), None),
        ("embedding", R.normal(size=(30, 8)), None),
        ("raw", R.normal(size=(30, 8)), np.arange(30) % 2),
        ("regression", R.normal(size=(30, 1)), None),
    ],
)
def test_every_metric_that_is_measured_is_described_for_its_task(task, outputs, y):
    other = outputs + 0.1 * R.normal(size=outputs.shape)
    found = measure([outputs, outputs], [other, other], y, outputs, task=task)
    for name in found:
        info = describe_metric(name)
        assert info is not None, f"{name} is not in METRICS"
        maps = outputs.ndim > 2  # a map of scores has errors and angles too
        assert task in info.tasks or maps, f"{name} is not said to be measured for {task}"


def test_the_margin_is_of_the_right_class_where_there_are_labels():
    a, b, y = classifier()
    found = measure([a], [b], y, task="classification")["margin_change"]

    def plain(scores):
        others = np.where(np.eye(12, dtype=bool)[y], -np.inf, scores)
        return scores[np.arange(len(y)), y] - others.max(1)

    assert found.estimate == pytest.approx((plain(b) - plain(a)).mean())


def test_the_margin_falls_where_the_scores_are_flattened():
    a, _, y = classifier()
    flat = measure([a], [0.9 * a], y, task="classification")["margin_change"]
    assert flat.upper95 < 0
    # Every answer is kept, which the counts alone can't tell from a sound model.
    assert measure([a], [0.9 * a], y, task="classification")["top1_drop"].estimate == 0


def test_identical_scores_have_no_divergence_and_no_change():
    a, _, y = classifier()
    found = measure([a], [a], y, task="classification")
    assert found["mean_kl_interval"].ci95 == (0.0, 0.0)
    assert found["margin_change"].ci95 == (0.0, 0.0)
    assert found["worst_class_drop"].estimate == 0.0 and found["ece"] == found["ece_reference"]


def test_the_divergence_s_interval_shrinks_with_the_items():
    few, many = (
        measure(*[[z] for z in classifier(n)[:2]], task="classification") for n in (50, 800)
    )
    assert isinstance(few["mean_kl_interval"], Interval)
    width = [m["mean_kl_interval"].upper95 - m["mean_kl_interval"].lower95 for m in (few, many)]
    assert width[1] < 0.5 * width[0]


def test_a_softmax_that_stayed_inside_gives_the_same_divergence_and_confidence():
    a, b, y = classifier()
    p, q = (np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in (a, b))
    outside = measure([a], [b], y, task="classification")
    inside = measure([p], [q], y, task="classification", activation="linear")
    for name in ("ece", "ece_reference"):
        assert inside[name] == pytest.approx(outside[name])
    # Probabilities below 1% in all count as that much, since int8 has none of them.
    assert inside["mean_kl"] == pytest.approx(outside["mean_kl"], rel=0.1)


def test_scores_of_no_scale_have_no_confidence():
    a, b, y = classifier()
    found = measure([30 + a], [30 + b], y, task="classification", activation="linear")
    assert "ece" not in found and "mean_kl" in found


def test_embeddings_are_searched():
    a = R.normal(size=(100, 8))
    found = measure([a], [a + 1e-3 * R.normal(size=a.shape)], task="embedding")
    assert found["recall_at_1"].estimate > 95 and "step_agreement" not in found


def test_a_sequence_is_compared_step_by_step():
    a = R.normal(size=(20, 10, 5))
    b = a.copy()
    b[3, 4] = np.roll(a[3, 4], 1)  # one answer of 200 moves
    found = measure([a], [b], task="classification")
    assert found["step_agreement"].estimate == pytest.approx(99.5)
    assert found["sequence_agreement"].estimate == pytest.approx(95.0)


def test_five_equal_sequences_prove_nothing():
    a = R.normal(size=(5, 10, 5))
    found = measure([a], [a], task="classification")
    assert found["step_agreement"].estimate == 100.0 and found["step_agreement"].lower95 < 70


def test_a_broken_sequence_counts_as_wrong():
    a = R.normal(size=(10, 4, 5))
    b = a.copy()
    b[2] = np.nan
    found = measure([a], [b], task="classification")
    assert found["step_agreement"].estimate == pytest.approx(90.0)
    assert found["relative_error"] is None


def autoencoder(n=300):
    y = np.arange(n) % 3 == 0
    x = R.normal(size=(n, 20))
    error = R.normal(size=(n, 20)) * np.where(y, 1.5, 0.8)[:, None]
    return x, x + error, y.astype(np.int64)


def test_an_autoencoder_is_judged_by_what_it_tells_apart():
    x, a, y = autoencoder()
    found = measure([a], [a + 0.05 * R.normal(size=a.shape)], y, x, task="raw")
    assert found["auc_reference"] > 95 and abs(found["auc_drop"].estimate) < 2
    # One that returns its input scores everything alike.
    blind = measure([a], [x], y, x, task="raw")
    assert blind["auc"] == 50.0 and blind["auc_drop"].lower95 > 30


def test_without_labels_or_with_another_shape_there_is_no_curve():
    x, a, y = autoencoder()
    assert "auc" not in measure([a], [a], None, x, task="raw")
    assert "auc" not in measure([a[:, :7]], [a[:, :7]], y, x, task="raw")
    assert "auc" not in measure([a], [a], y, None, task="raw")


def test_each_output_has_its_own_error():
    a = R.normal(size=(20, 4))
    found = measure([a, a, a], [a, 1.5 * a, 1.1 * a], np.arange(20) % 4, task="classification")
    assert found["output0_relative_error"] == 0.0 and found["output0_sqnr_db"] is None
    assert found["output1_relative_error"] == pytest.approx(50.0)
    assert found["output2_relative_error"] == pytest.approx(10.0)
    assert found["output2_sqnr_db"] == pytest.approx(20.0)
    assert found["other_outputs_relative_error"] == found["output1_relative_error"]
    assert "output0_sqnr_db" not in measure([a], [a], task="embedding")


@pytest.mark.parametrize("task", ["classification", "embedding", "raw"])
def test_ten_times_the_items_take_no_more_memory(task):
    """Only the AUC's scalars grow: 17 bytes an item, and some more while they are ranked."""

    def peak(n):
        meter = Meter("softmax", task == "classification", task=task)
        tracemalloc.start()
        for start in range(0, n, 100):
            r = np.random.default_rng(start)
            a = r.normal(size=(100, 20))
            meter.add([a], [a + 0.1], np.arange(100) % 2, [""] * 100, [a])
        meter.result()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(200)  # what NumPy sets up once
    assert peak(10_000) < 1.1 * peak(1000) + 200 * 9000 * (task == "raw")
