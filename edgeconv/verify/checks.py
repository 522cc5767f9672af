"""Any metric against any threshold.

an interval    pass where the one-sided 95% bound is inside the threshold,
               fail where the other is outside, else inconclusive
a number       pass where it is inside (the threshold itself is), else fail
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Union

from edgeconv.errors import UsageError
from edgeconv.metric_names import MetricInfo, describe_metric, resolve
from edgeconv.types import ArtifactVerdict, Check, Interval, MetricValue, Status
from edgeconv.verify.metrics import Measurement
from edgeconv.verify.paired import needed_by_width, needed_for_agreement, needed_more
from edgeconv.verify.sentences import (
    broken_sentence,
    equal_sentence,
    interval_sentence,
    number_sentence,
    unmeasured_sentence,
)

__all__ = ["Found", "check", "checkable"]

Found = Union[Measurement, ArtifactVerdict, Mapping[str, MetricValue]]


def check(
    metric: str,
    limit: float,
    at_most: bool | None,
    found: Found,
    noun: str = "pictures",
    samples: int | None = None,
) -> Check:
    """Hold one metric against one threshold.

    Args:
        metric: A name in ``METRICS``; ``agreement`` and ``mean_kl`` are judged
            by their intervals. Dashes may stand for underscores.
        limit: The threshold, in the metric's own unit.
        at_most: Whether it is a largest value; None for the metric's default.
        found: What was measured. A Measurement knows the counts, so the number
            of further items is exact; of the others it is taken from the width
            of the interval.
        noun: What an item is called, in the plural.
        samples: How many there were, where ``found`` doesn't know.

    Returns:
        The status and its sentence. ``metric`` is the key that was judged.

    Raises:
        UsageError: The metric was not measured, has nothing to be held against,
            or the threshold is no number.
    """
    metrics = found if isinstance(found, Mapping) else found.metrics
    key, info = _find(metric, metrics)
    if not math.isfinite(limit):
        raise UsageError(
            f"The threshold of {key} is {limit}, which is no number.",
            f"Give one{_in(info)}.",
        )
    below = info.at_most if at_most is None else at_most
    assert below is not None
    value = metrics[key]
    count = found.samples if isinstance(found, Measurement) else samples
    if isinstance(found, Measurement) and found.broken:
        reason = broken_sentence(found.broken, found.samples, noun)
        return Check(key, limit, below, "fail", reason)
    if isinstance(value, Interval):
        return _by_interval(Check(key, limit, below, "fail", ""), value, info, found, noun, count)
    if value is None:
        return _unmeasured(Check(key, limit, below, "fail", ""), info, metrics)
    inside = value <= limit if below else value >= limit
    reason = number_sentence(info, value, limit, below, inside)
    return Check(key, limit, below, "pass" if inside else "fail", reason)


def checkable(metrics: Mapping[str, MetricValue]) -> tuple[str, ...]:
    """The names that may be held against a threshold here."""
    names = {name: describe_metric(name) for name in metrics}
    return tuple(name for name, info in names.items() if info and info.at_most is not None)


def _find(metric: str, metrics: Mapping[str, MetricValue]) -> tuple[str, MetricInfo]:
    key = resolve(metric, metrics)
    info = None if key is None else describe_metric(key)
    if key is None or info is None or info.at_most is None:
        raise UsageError(
            f"There is no metric {metric[:40]!r} to hold against a threshold here.",
            f"Measured were {', '.join(checkable(metrics))}.",
        )
    return key, info


def _in(info: MetricInfo) -> str:
    return f" in {info.unit}" if info.unit else ""


def _by_interval(
    blank: Check, value: Interval, info: MetricInfo, found: Found, noun: str, count: int | None
) -> Check:
    metric, limit, below = blank.metric, blank.limit, blank.at_most
    inside = value.estimate <= limit if below else value.estimate >= limit
    if _equivalent(found) and inside:
        return Check(metric, limit, below, "pass", equal_sentence(info, value, limit, below))
    status = _status(value, limit, below)
    needed = _needed(metric, value, limit, found, count) if status == "inconclusive" else None
    reason = interval_sentence(info, status, value, limit, below, count, noun, needed)
    return Check(metric, limit, below, status, reason, needed)


def _status(value: Interval, limit: float, below: bool) -> Status:
    if value.upper95 <= limit if below else value.lower95 >= limit:
        return "pass"
    if value.lower95 > limit if below else value.upper95 < limit:
        return "fail"
    return "inconclusive"


def _equivalent(found: Found) -> bool:
    return not isinstance(found, Mapping) and found.equivalent


def _needed(
    metric: str, value: Interval, limit: float, found: Found, count: int | None
) -> int | None:
    if isinstance(found, Measurement):
        if metric == "top1_drop":
            counts = found.reference_only, found.candidate_only
            return needed_more(*counts, found.samples, limit)
        if metric == "agreement_interval":
            return needed_for_agreement(found.agreeing, found.samples, limit)
    return None if count is None else needed_by_width(value, limit, count)


def _unmeasured(blank: Check, info: MetricInfo, metrics: Mapping[str, MetricValue]) -> Check:
    """A metric without a value: no error at all, or none that could be related to anything."""
    faultless = metrics.get("max_relative_difference") == 0.0
    status: Status = "pass" if blank.metric.endswith("sqnr_db") and faultless else "fail"
    reason = unmeasured_sentence(info, status)
    return Check(blank.metric, blank.limit, blank.at_most, status, reason)
