"""What the gate says to people: one sentence a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgeconv.types import Interval, Status
from edgeconv.verify.paired import NEEDED_CAP

__all__ = [
    "agreement_sentence",
    "broken_sentence",
    "drop_sentence",
    "equivalent_sentence",
    "limit_sentence",
    "rounded_up",
]

_WORDS = {"pass": "kept", "fail": "lost", "inconclusive": "undecided"}


def drop_sentence(
    status: Status, drop: Interval, margin: float, samples: int, noun: str, needed: int | None
) -> str:
    """On a top-1 drop against its margin, in points."""
    bound = f"at most {drop.upper95:.2f}" if status == "pass" else f"at least {drop.lower95:.2f}"
    return (
        f"top-1 drop {drop.estimate:.1f} points {_certainty(status, drop, bound)} "
        f"against a margin of {_plain(margin)}: {_WORDS[status]} on {samples:,} {noun}"
        + _more(status, needed)
    )


def agreement_sentence(
    status: Status, agreement: Interval, least: float, samples: int, noun: str, needed: int | None
) -> str:
    """On the share of equal answers against its least, in percent."""
    bound = (
        f"at least {agreement.lower95:.2f}"
        if status == "pass"
        else f"at most {agreement.upper95:.2f}"
    )
    return (
        f"agreement {agreement.estimate:.1f}% {_certainty(status, agreement, bound)} "
        f"against at least {_plain(least)}%: {_WORDS[status]} on {samples:,} {noun}"
        + _more(status, needed)
    )


def _certainty(status: Status, value: Interval, bound: str) -> str:
    """The bound that decided; where none did, the interval.

    The two-sided interval would confuse beside a decision: it may reach past a
    margin that the one-sided bound is inside of.
    """
    if status == "inconclusive":
        return f"(95% interval {value.ci95[0]:.1f} to {value.ci95[1]:.1f})"
    return f"({bound} with 95% confidence)"


def equivalent_sentence(samples: int, noun: str) -> str:
    """On an artifact that is numerically the reference."""
    return (
        f"numerically the reference: every answer equal and outputs within 0.1% "
        f"on {samples:,} {noun}"
    )


def broken_sentence(ids: Sequence[str], samples: int, noun: str) -> str:
    """On an artifact that answered NaN or infinity."""
    return (
        f"answers NaN or infinity to {len(ids):,} of {samples:,} {noun}, first to {ids[0][:80]!r}"
    )


def limit_sentence(
    gated: str, value: float | None, limit: float, inside: bool, collapsed: bool
) -> str:
    """On a plain number against a plain limit."""
    if value is None:
        return "relative error unbounded: the reference answers only zeros, the artifact doesn't"
    if gated == "cosine_mean":
        text = f"mean cosine {value:.4f} against at least {limit:g}"
    else:
        text = f"relative error {value:.3g}% against at most {limit:g}%"
    if collapsed:
        return f"{text}, but further off than always answering the reference's mean: lost"
    return f"{text}: {'kept' if inside else 'lost'}"


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
