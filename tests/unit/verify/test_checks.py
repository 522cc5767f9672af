"""Any metric against any threshold: the status, the sentence, and what is refused."""

import math

import pytest

from edgeconv.errors import UsageError
from edgeconv.metric_names import METRICS, describe_metric, resolve
from edgeconv.types import ArtifactVerdict, Interval
from edgeconv.verify.checks import check, checkable
from edgeconv.verify.metrics import Measurement
from edgeconv.verify.paired import NEEDED_CAP, needed_by_width, paired_drop, wilson


def measured(b=8, c=6, n=250, *, equivalent=False, broken=(), **more):
    agreement = wilson(n - b - c, n)
    metrics = {
        "top1": 82.4,
        "top1_drop": paired_drop(b, c, n),
        "agreement": agreement.estimate,
        "agreement_interval": agreement,
        "mean_kl": 0.04,
        "mean_kl_interval": Interval(0.04, (0.03, 0.05), 0.032, 0.048),
        "worst_class": 17.0,
        "sqnr_db": 13.4,
        "max_relative_difference": 7.0,
        **more,
    }
    return Measurement(n, True, b, c, n - b - c, equivalent, tuple(broken), metrics)


@pytest.mark.parametrize(
    ("limit", "status"), [(4.0, "pass"), (1.0, "inconclusive"), (-3.0, "fail")]
)
def test_an_interval_is_held_by_its_one_sided_bounds(limit, status):
    assert check("top1_drop", limit, None, measured()).status == status


def test_the_status_of_a_smallest_value_is_the_mirror():
    found = measured()
    bounds = found.metrics["agreement_interval"]
    assert check("agreement", bounds.lower95, None, found).status == "pass"
    assert check("agreement", bounds.lower95 + 1e-9, None, found).status == "inconclusive"
    assert check("agreement", bounds.upper95 + 1e-9, None, found).status == "fail"


def test_a_metric_with_an_interval_is_judged_by_it():
    found = check("mean-kl", 0.045, None, measured())
    assert (found.metric, found.status) == ("mean_kl_interval", "inconclusive")


def test_an_undecided_check_says_how_many_more():
    exact = check("top1_drop", 1.0, None, measured())
    assert exact.needed == 37_787 and exact.reason.endswith("about 38,000 more would decide")
    by_width = check("top1_drop", 1.0, None, measured().metrics, samples=250)
    assert by_width.needed == pytest.approx(exact.needed, rel=0.25)
    unknown = check("top1_drop", 1.0, None, measured().metrics)
    assert unknown.needed is None and "more" not in unknown.reason


@pytest.mark.parametrize(
    ("metric", "limit", "at_most", "status"),
    [
        ("top1", 82.4, None, "pass"),
        ("top1", 82.5, None, "fail"),
        ("sqnr_db", 13.0, None, "pass"),
        ("sqnr_db", 13.0, True, "fail"),
        ("max_relative_difference", 6.9, None, "fail"),
    ],
)
def test_a_number_is_compared_and_its_threshold_is_inside(metric, limit, at_most, status):
    assert check(metric, limit, at_most, measured()).status == status


@pytest.mark.parametrize(
    ("metric", "limit", "sentence"),
    [
        ("top1", 80.0, "top-1 82.4% against at least 80%: kept"),
        ("sqnr_db", 20.0, "SQNR 13.4 dB against at least 20 dB: lost"),
        (
            "mean_kl",
            0.02,
            "KL divergence 0.04 nats (at least 0.032 with 95% confidence) "
            "against at most 0.02 nats: lost on 250 pictures",
        ),
        (
            "agreement",
            99.0,
            "agreement 94.4% (at most 96.35 with 95% confidence) "
            "against at least 99.0%: lost on 250 pictures",
        ),
    ],
)
def test_a_check_is_one_readable_sentence(metric, limit, sentence):
    assert check(metric, limit, None, measured()).reason == sentence


def test_a_number_just_beyond_its_threshold_is_not_written_like_it():
    found = check("relative_error", 25.0, None, {"relative_error": 25.000004})
    assert found.status == "fail" and "25.000004% against" in found.reason


def test_the_bound_that_decided_is_never_written_like_the_threshold():
    drop = Interval(1.2, (1.0001, 1.4), 1.002, 1.3)
    found = check("top1_drop", 1.0, None, {"top1_drop": drop}, samples=9000)
    assert found.status == "fail" and "at least 1.002 with" in found.reason


def test_numerically_the_reference_passes_on_any_count():
    found = measured(0, 0, 3, equivalent=True)
    assert check("top1_drop", 0.0, None, found).status == "pass"
    assert check("agreement", 100.0, None, found).status == "pass"
    # What it is absolutely, equivalence doesn't change.
    assert check("top1", 90.0, None, found).status == "fail"


def test_nan_fails_every_check():
    found = measured(0, 0, 9000, broken=["a.jpg"])
    for metric in checkable(found.metrics):
        assert check(metric, METRICS[metric].at_most * 1e6, None, found).status == "fail"


def test_a_verdict_s_metrics_are_judged_like_a_measurement_s():
    found = measured()
    verdict = ArtifactVerdict("m", "tflite", "int8", "pass", False, "", found.metrics)
    for metric in ("top1_drop", "mean_kl", "top1"):
        assert check(metric, 2.0, None, verdict).status == check(metric, 2.0, None, found).status


@pytest.mark.parametrize("name", ["top2", "worst_class", "", "recall_at_1", "x" * 500, "\x1b[2J"])
def test_what_was_not_measured_is_refused_with_what_was(name):
    with pytest.raises(UsageError) as refusal:
        check(name, 1.0, None, measured())
    assert "top1_drop" in refusal.value.hint and "worst_class" not in refusal.value.hint
    assert len(refusal.value.message) < 120 and "\x1b" not in refusal.value.message


@pytest.mark.parametrize("limit", [math.nan, math.inf])
def test_a_threshold_that_is_no_number_is_refused(limit):
    with pytest.raises(UsageError, match="no number"):
        check("top1_drop", limit, None, measured())


def test_no_error_is_enough_signal_for_any_threshold():
    silent = {"sqnr_db": None, "max_relative_difference": 0.0}
    assert check("sqnr_db", 60.0, None, silent).status == "pass"
    unrelated = {"sqnr_db": None, "max_relative_difference": None}
    assert check("sqnr_db", 60.0, None, unrelated).status == "fail"


def test_a_relative_error_without_a_reference_is_lost():
    found = check("relative_error", 25.0, None, {"relative_error": None})
    assert found.status == "fail" and "answers only zeros" in found.reason


def test_outputs_are_named_by_their_index():
    info = describe_metric("output2_relative_error")
    assert info.unit == "%" and info.at_most and "output 2" in info.title
    assert describe_metric("output_relative_error") is None
    assert describe_metric("output99999_sqnr_db") is None


def test_every_metric_says_what_it_means():
    for name, info in METRICS.items():
        assert info.meaning.endswith(".") and "\n" not in info.meaning, name
        assert info.tasks and info.title, name


def test_names_are_taken_as_people_write_them():
    assert resolve(" Top1-Drop ", {"top1_drop": 0.0}) == "top1_drop"
    assert resolve("agreement", {"agreement": 0.0}) == "agreement"


def test_that_many_more_items_bring_the_bound_to_the_threshold():
    few = Interval(0.04, (0.02, 0.06), 0.02, 0.06)
    more = needed_by_width(few, 0.05, 100)
    assert more == 300  # Half the width needs four times the items.
    assert needed_by_width(few, 0.04, 100) is None
    assert needed_by_width(few, 0.5, 100) == 0
    assert needed_by_width(few, 0.04 + 0.02 / math.sqrt(NEEDED_CAP), 100) is None
