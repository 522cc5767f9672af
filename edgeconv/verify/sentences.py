"""What the gate says to people: one sentence a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgeconv.metric_names import MetricInfo
from edgeconv.types import Interval, Status
from edgeconv.verify.paired import NEEDED_CAP

__all__ = [
    "broken_sentence",
    "equal_sentence",
    "equivalent_sentence",
    "interval_sentence",
    "number_sentence",
    "rounded_up",
    "unmeasured_sentence",
]

_WORDS = {"pass": "kept", "fail": "lost", "inconclusive": "undecided"}

#: Units of which two decimals are plenty.
_COARSE = ("%", "points")


def interval_sentence(
    info: MetricInfo,
    status: Status,
    value: Interval,
    limit: float,
    at_most: bool,
    samples: int | None,
    noun: str,
    needed: int | None,
) -> str:
    """On an estimate against its threshold: the bound that decided, or that none did."""
    over = "" if samples is None else f" on {counted(samples, noun)}"
    return (
        f"{info.title} {_estimate(info, value.estimate)} {_certainty(info, status, value, limit)} "
        f"against {_threshold(info, limit, at_most)}: {_WORDS[status]}{over}"
        + ("" if samples is None else _more(status, needed))
    )


def number_sentence(
    info: MetricInfo, value: float, limit: float, at_most: bool, inside: bool
) -> str:
    """On a plain number against its threshold."""
    return (
        f"{info.title} {_near(value, limit)}{_unit(info)} "
        f"against {'at most' if at_most else 'at least'} {limit:g}{_unit(info)}: "
        f"{'kept' if inside else 'lost'}"
    )


def equal_sentence(info: MetricInfo, value: Interval, limit: float, at_most: bool) -> str:
    """On an estimate of an artifact that is numerically the reference."""
    return (
        f"{info.title} {_estimate(info, value.estimate)} against "
        f"{_threshold(info, limit, at_most)}: kept, numerically the reference"
    )


def unmeasured_sentence(info: MetricInfo, status: Status) -> str:
    """On a metric that has no value."""
    if status == "pass":
        return f"{info.title} unbounded, since there is no error: kept"
    if info.title.startswith("relative error"):
        return f"{info.title} unbounded: the reference answers only zeros, the artifact doesn't"
    return f"{info.title} can't be told, since an answer is NaN or there is nothing to relate to"


def _certainty(info: MetricInfo, status: Status, value: Interval, limit: float) -> str:
    """The bound that decided; where none did, the interval.

    The two-sided interval would confuse beside a decision: it may reach past a
    margin that the one-sided bound is inside of.
    """
    if status == "inconclusive":
        low, high = (_bare(info, bound) for bound in value.ci95)
        return f"(95% interval {low} to {high})"
    upper = value.upper95 <= limit if status == "pass" else value.upper95 < limit
    side, bound = ("at most", value.upper95) if upper else ("at least", value.lower95)
    return f"({side} {_bound(info, bound, limit)} with 95% confidence)"


def _threshold(info: MetricInfo, limit: float, at_most: bool) -> str:
    if info.unit == "points" and at_most:
        return f"a margin of {_plain(limit)}"
    return f"{'at most' if at_most else 'at least'} {_plain(limit)}{_unit(info)}"


def _estimate(info: MetricInfo, value: float) -> str:
    return _bare(info, value) + _unit(info)


def _bare(info: MetricInfo, value: float) -> str:
    return f"{value:.1f}" if info.unit in _COARSE else f"{value:.3g}"


def _bound(info: MetricInfo, value: float, limit: float) -> str:
    """Never the threshold's own digits where it is another number."""
    if info.unit in _COARSE and f"{value:.2f}" != f"{limit:.2f}":
        return f"{value:.2f}"
    return _near(value, limit)


def _near(value: float, limit: float) -> str:
    """With as many digits as it takes to tell it from the threshold: 1.00004, not 1."""
    for digits in range(4, 12):
        if float(text := f"{value:.{digits}g}") != limit:
            return text
    return f"{value:.4g}"


def _unit(info: MetricInfo) -> str:
    return info.unit if info.unit in ("", "%") else f" {info.unit}"


def equivalent_sentence(samples: int, noun: str) -> str:
    """On an artifact that is numerically the reference."""
    return (
        f"numerically the reference: every answer equal and outputs within 0.1% "
        f"on {counted(samples, noun)}"
    )


def broken_sentence(ids: Sequence[str], samples: int, noun: str) -> str:
    """On an artifact that answered NaN or infinity."""
    items = counted(samples, noun)
    return f"answers NaN or infinity to {len(ids):,} of {items}, first to {ids[0][:80]!r}"


def counted(samples: int, noun: str) -> str:
    """``1 picture``, ``250 pictures``."""
    return f"{samples:,} {noun.removesuffix('s') if samples == 1 else noun}"


def _more(status: Status, needed: int | None) -> str:
    if status != "inconclusive":
        return ""
    if needed is None:
        return f"; the estimate is too near the margin for {NEEDED_CAP:,} more to decide"
    return f"; about {rounded_up(needed):,} more would decide"


def _plain(number: float) -> str:
    """``1.0`` for 1, and every digit that was asked for: 0.25 is not 0.2."""
    return str(float(number))


def rounded_up(count: int) -> int:
    """To two significant digits, never below ``count``: 1,873 becomes 1,900."""
    if count < 100:
        return count
    unit = int(10 ** (math.floor(math.log10(count)) - 1))
    return -(-count // unit) * unit
