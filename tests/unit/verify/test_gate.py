"""From a measurement to a status, a sentence and an exit code."""

import dataclasses
import re

import numpy as np
import pytest

from edgeconv.errors import UsageError
from edgeconv.metric_names import METRICS
from edgeconv.types import ArtifactVerdict, Interval, Verdict
from edgeconv.verify.gate import Gate, exit_code, parse_max_drop, status
from edgeconv.verify.metrics import Measurement, Meter
from edgeconv.verify.paired import paired_drop, wilson
from edgeconv.verify.sentences import rounded_up


def counted(b=0, c=0, n=250, agreeing=None, **rest):
    agreeing = n - b - c if agreeing is None else agreeing
    metrics = {
        "top1_drop": paired_drop(b, c, n),
        "agreement": 100 * agreeing / n,
        "agreement_interval": wilson(agreeing, n),
    }
    values = {
        "samples": n,
        "labelled": True,
        "reference_only": b,
        "candidate_only": c,
        "agreeing": agreeing,
        "equivalent": False,
        "broken": (),
        "metrics": metrics,
    }
    return Measurement(**{**values, **rest})


def raw(reference, candidate):
    meter = Meter("linear", classifies=False)
    meter.add([reference], [candidate], None, [str(i) for i in range(len(reference))])
    return meter.result()


def test_five_equal_answers_are_not_proof():
    found = status(Gate(), "top1", counted(n=5), "int8")
    assert found.status == "inconclusive"
    assert found.needed == 263  # 268 in all, see the interval's own test


def test_a_bound_inside_the_margin_passes():
    found = status(Gate(), "top1", counted(10, 10, 20_000), "int8")
    assert found.status == "pass" and found.needed is None


def test_a_bound_outside_the_margin_fails():
    found = status(Gate(), "top1", counted(30, 2), "int8")
    assert found.status == "fail" and found.needed is None


def test_the_undecided_sentence_says_how_many_more():
    found = status(Gate(), "top1", counted(8, 6), "int8")
    assert (found.status, found.gated, found.limit) == ("inconclusive", "top1_drop", 1.0)
    assert found.reason == (
        "top-1 drop 0.8 points (95% interval -2.4 to 4.1) against a margin of 1.0: "
        "undecided on 250 pictures; about 38,000 more would decide"
    )


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (
            (10, 10, 20_000),
            "top-1 drop 0.0 points (at most 0.04 with 95% confidence) "
            "against a margin of 1.0: kept on 20,000 pictures",
        ),
        (
            (30, 2, 250),
            "top-1 drop 11.2 points (at least 7.94 with 95% confidence) "
            "against a margin of 1.0: lost on 250 pictures",
        ),
    ],
)
def test_a_decision_names_the_bound_that_made_it(counts, sentence):
    assert status(Gate(), "top1", counted(*counts), "int8").reason == sentence


def test_an_estimate_on_the_margin_says_that_nothing_helps():
    found = status(Gate(), "top1", counted(10, 7, 300), "int8")
    assert found.needed is None
    assert found.reason.endswith("too near the margin for 1,000,000 more to decide")


def test_an_equivalent_artifact_passes_on_any_count():
    found = status(Gate(), "top1", counted(n=3, equivalent=True), "fp32")
    assert found.status == "pass" and "numerically the reference" in found.reason


def test_one_nan_fails_whatever_the_counts():
    found = status(Gate(), "top1", counted(n=9000, broken=("a.jpg",)), "int8")
    assert found.status == "fail"
    assert found.reason == "answers NaN or infinity to 1 of 9,000 pictures, first to 'a.jpg'"


@pytest.mark.parametrize(
    ("agreeing", "word"), [(245, "pass"), (231, "inconclusive"), (200, "fail")]
)
def test_agreement_is_gated_by_its_bounds(agreeing, word):
    found = status(Gate(), "agreement", counted(agreeing=agreeing), "int8")
    assert found.status == word
    assert (found.needed is not None) == (word == "inconclusive")


def test_margins_are_inclusive():
    drop = paired_drop(0, 0, 250)
    assert status(Gate(max_drop_pp=drop.upper95), "top1", counted(), "int8").status == "pass"
    least = wilson(231, 250).lower95
    gate = Gate(min_agreement=least)
    assert status(gate, "agreement", counted(agreeing=231), "int8").status == "pass"


@pytest.mark.parametrize(
    ("precision", "noise", "word"),
    [
        ("fp32", 1e-4, "pass"),
        ("fp32", 1e-2, "fail"),
        ("fp16", 5e-3, "pass"),
        ("fp16", 5e-2, "fail"),
        ("int8", 0.2, "pass"),
        ("int8", 0.4, "fail"),
    ],
)
@pytest.mark.parametrize("metric", ["relative_error", "cosine"])
def test_raw_outputs_are_held_to_their_precision(metric, precision, noise, word):
    r = np.random.default_rng(0)
    a = r.normal(size=(100, 50))
    found = raw(a, a + noise * r.normal(size=a.shape))
    assert status(Gate(), metric, found, precision).status == word


def test_a_collapsed_regression_fails_though_its_error_is_small():
    a = 40 + np.random.default_rng(0).normal(size=(200, 1))
    found = status(Gate(), "relative_error", raw(a, np.full_like(a, 39.9)), "int8")
    assert found.status == "fail"
    assert "always answering the reference's mean" in found.reason


def test_a_reference_of_zeros_can_not_be_matched_by_anything_else():
    a = np.zeros((3, 2))
    assert status(Gate(), "relative_error", raw(a, a + 1), "int8").status == "fail"
    assert status(Gate(), "relative_error", raw(a, a), "int8").status == "pass"


@pytest.mark.parametrize(
    ("classifies", "labelled", "task", "metric"),
    [
        (True, True, "classification", "top1"),
        (True, False, "classification", "agreement"),
        (False, True, "classification", "relative_error"),
        (False, False, "embedding", "cosine"),
        (False, False, "regression", "relative_error"),
        (False, False, "raw", "relative_error"),
    ],
)
def test_the_task_and_the_labels_choose_the_metric(classifies, labelled, task, metric):
    assert Gate().choose(classifies, labelled, task) == metric


@pytest.mark.parametrize(
    ("metric", "classifies", "labelled", "task"),
    [
        ("top1", True, False, "classification"),
        ("agreement", False, True, "classification"),
        ("kl", False, True, "regression"),
        ("worst_class", True, False, "classification"),
        ("steps", True, True, "classification"),
        ("recall", False, True, "raw"),
        ("auc", False, False, "raw"),
        ("auc", True, True, "classification"),
        ("cosine", True, True, "classification"),
    ],
)
def test_a_metric_that_can_not_be_measured_is_refused(metric, classifies, labelled, task):
    with pytest.raises(UsageError) as refusal:
        Gate(metric=metric).choose(classifies, labelled, task)
    assert "gate on" in refusal.value.hint.lower()


@pytest.mark.parametrize(
    ("gate", "classifies", "task", "key"),
    [
        ("top5=1", True, "classification", "top5_drop"),
        ("kl=0.1", True, "classification", "mean_kl_interval"),
        ("steps=5", False, "classification", "step_agreement"),
        ("recall=5", False, "embedding", "recall_at_1"),
        ("auc=1", False, "raw", "auc_drop"),
        ("cosine=0.1", False, "raw", "cosine_mean"),
    ],
)
def test_another_metric_is_gated_where_it_is_named(gate, classifies, task, key):
    asked = parse_max_drop(gate)
    metric = asked.choose(classifies, True, task)
    assert asked.threshold(metric, "int8")[0] == key
    assert METRICS[key].title in asked.describe(metric)


def test_a_named_metric_decides():
    kl = Interval(0.04, (0.03, 0.05), 0.032, 0.048)
    found = counted(30, 2)
    found = dataclasses.replace(found, metrics={**found.metrics, "mean_kl_interval": kl})
    words = [status(Gate("kl", limit=limit), "kl", found, "int8").status for limit in (0.1, 0.01)]
    assert words == ["pass", "fail"]


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("top1=1.0", Gate(max_drop_pp=1.0)),
        (" top1=0 ", Gate(max_drop_pp=0.0)),
        ("agreement=7.7", Gate(metric="agreement", min_agreement=92.3)),
        ("cosine=0.02", Gate(metric="cosine", min_cosine=0.98)),
        ("relative-error=12", Gate(metric="relative_error", max_relative_error=12.0)),
        ("top5=2", Gate(metric="top5", limit=2.0)),
        ("worst-class=10", Gate(metric="worst_class", limit=10.0)),
        ("kl=0.05", Gate(metric="kl", limit=0.05)),
        ("recall=5", Gate(metric="recall", limit=95.0)),
        ("auc=1", Gate(metric="auc", limit=1.0)),
        ("steps=3", Gate(metric="steps", limit=97.0)),
    ],
)
def test_max_drop_reads_a_name_and_a_loss(text, gate):
    assert parse_max_drop(text) == gate


@pytest.mark.parametrize(
    "text",
    [
        *("", "1.0", "top1", "top1=", "top1=x", "top1=-1", "top1=101", "top1=nan", "top1=inf"),
        *("top2=1", "=1", "top1=1=2", "top1=1,agreement=3", "TOP1=1", "top1=1%", "a" * 10_000),
    ],
)
def test_max_drop_refuses_nonsense_in_one_short_line(text):
    with pytest.raises(UsageError) as refusal:
        parse_max_drop(text)
    assert "\n" not in refusal.value.message and len(refusal.value.message) < 120
    assert "top1=1.0" in refusal.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cosine=0.05", "mean cosine at least 0.95"),
        ("cosine=1", "mean cosine at least 0"),
        ("relative-error=0", "relative error at most 0%"),
    ],
)
def test_the_gate_says_the_limit_that_was_asked_for(text, words):
    gate = parse_max_drop(text)
    assert gate.describe(gate.metric) == words


def verdict(*artifacts):
    return Verdict("pass", 250, "gate", artifacts)


def artifact(word, gated="top1_drop", estimate=0.5, limit=1.0):
    metrics = {gated: Interval(estimate, (-9.0, 9.0), -8.0, 8.0)}
    return ArtifactVerdict(
        "m.onnx", "onnx", "int8", word, False, "", metrics, gated=gated, limit=limit
    )


@pytest.mark.parametrize(
    ("artifacts", "estimate", "fail"),
    [
        ([artifact("pass")], 0, 0),
        ([artifact("fail")], 1, 1),
        ([artifact("pass"), artifact("fail")], 1, 1),
        ([artifact("inconclusive")], 0, 1),
        ([artifact("inconclusive", estimate=1.0)], 0, 1),
        ([artifact("inconclusive", estimate=1.2)], 1, 1),
        ([artifact("inconclusive"), artifact("inconclusive", estimate=1.2)], 1, 1),
        ([artifact("inconclusive", "agreement_interval", 92.0, 90.0)], 0, 1),
        ([artifact("inconclusive", "agreement_interval", 88.0, 90.0)], 1, 1),
    ],
)
def test_the_exit_code_is_the_worst_artifact_s(artifacts, estimate, fail):
    assert exit_code(verdict(*artifacts), "estimate") == estimate
    assert exit_code(verdict(*artifacts), "fail") == fail


@pytest.mark.parametrize(
    ("count", "rounded"), [(1, 1), (99, 99), (100, 100), (101, 110), (1873, 1900), (1_000, 1000)]
)
def test_counts_are_rounded_up_to_two_digits(count, rounded):
    assert rounded_up(count) == rounded


def test_sentences_are_one_line():
    for found in (counted(8, 6), counted(30, 2), counted(n=9000), counted(broken=("x\n\x1b[2J",))):
        assert not re.search(r"[\n\x1b]", status(Gate(), "top1", found, "int8").reason)
