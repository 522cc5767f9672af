"""The sentences that stand beside an undecided gate."""

import dataclasses

from edgeconv.types import ArtifactVerdict, Interval
from edgeconv.verify.meaning import evidence

METRICS = {
    "top1": 80.0,
    "mean_kl_interval": Interval(0.0312, (0.027, 0.036), 0.028, 0.035),
    "margin_change": Interval(-0.06, (-0.11, -0.01), -0.1, -0.02),
    "margin_reference": 4.3,
}
VERDICT = ArtifactVerdict("m", "tflite", "int8", "inconclusive", False, "", METRICS)


def changed(**fields):
    return evidence(dataclasses.replace(VERDICT, **fields))


def margin(low, high, **metrics):
    value = Interval((low + high) / 2, (low, high), low, high)
    return changed(metrics={**METRICS, "margin_change": value, **metrics})[1]


def test_an_undecided_gate_is_accompanied_by_the_scores():
    assert evidence(VERDICT) == (
        "KL divergence 0.0312 nats (95% interval 0.027 to 0.036): how far the scores moved on "
        "average, 0 being not at all",
        "margin of the right class over its best rival -0.06 logits (95% interval -0.11 to -0.01), "
        "1.4% of the usual 4.3: right answers are held less firmly, so a drop is likelier than a "
        "gain",
    )


def test_the_direction_is_only_told_where_it_is_known():
    assert margin(-0.2, 0.1).endswith("no shift in either direction can be told")
    assert margin(0.0, 0.0).endswith("no shift in either direction can be told")
    assert "gain is likelier than a drop" in margin(0.1, 0.3)


def test_without_labels_nothing_is_said_of_a_drop():
    metrics = {name: value for name, value in METRICS.items() if name != "top1"}
    found = changed(metrics=metrics)[1]
    assert "original's answer" in found and "drop" not in found


def test_a_decision_needs_no_company():
    decided = dataclasses.replace(VERDICT, status="pass")
    assert evidence(decided) == ()


def test_what_was_not_measured_is_not_spoken_of():
    assert changed(metrics={}) == ()
    assert changed(metrics={"mean_kl_interval": None, "margin_change": None}) == ()
    assert changed(equivalent=True) == ()
