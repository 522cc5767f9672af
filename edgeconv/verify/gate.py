"""The gate: from what was measured to pass, fail or inconclusive.

    pass           the one-sided 95% bound of the loss is inside the margin
    fail           the other bound is outside
    inconclusive   anything between: more items would decide

An artifact that is numerically the reference passes whatever the count, since
there is nothing left to estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from edgeconv.types import (
    ArtifactVerdict,
    Check,
    Interval,
    Precision,
    Status,
    Verdict,
)
from edgeconv.verify.checks import check
from edgeconv.verify.losses import Gate, Metric, parse_max_drop
from edgeconv.verify.metrics import Measurement
from edgeconv.verify.sentences import broken_sentence, equivalent_sentence

__all__ = [
    "Gate",
    "Metric",
    "Outcome",
    "acceptable",
    "exit_code",
    "holds",
    "parse_max_drop",
    "status",
]

#: Always answering the reference's mean answer scores this; worse is no model.
_WORSE_THAN_CONSTANT = 100.0
#: Always answering zeros has this relative error, percent.
_WORSE_THAN_ZEROS = 100.0
_COLLAPSED = ", but further off than always answering the reference's mean: lost"


@dataclass(frozen=True)
class Outcome:
    """The gate's word on one artifact; fields as in ``ArtifactVerdict``."""

    status: Status
    reason: str
    needed: int | None
    gated: str
    limit: float | None


def status(
    gate: Gate, metric: Metric, found: Measurement, precision: Precision, noun: str = "pictures"
) -> Outcome:
    """Judge one artifact.

    Args:
        gate: The margins.
        metric: What decides, from ``gate.choose``.
        found: What the artifact's meter saw.
        precision: Of the artifact.
        noun: What an item is called, in the plural.
    """
    gated, limit = gate.threshold(metric, precision)
    if found.broken:
        reason = broken_sentence(found.broken, found.samples, noun)
        return Outcome("fail", reason, None, gated, limit)
    if found.equivalent:
        reason = equivalent_sentence(found.samples, noun)
        return Outcome("pass", reason, None, gated, limit)
    if further := _worse_than_zeros(found):
        return Outcome("fail", further, None, gated, limit)
    held = check(gated, limit, None, found, noun)
    if metric in ("cosine", "relative_error") and _collapsed(found):
        return Outcome("fail", held.reason.rpartition(":")[0] + _COLLAPSED, None, gated, limit)
    return Outcome(held.status, held.reason, held.needed, gated, limit)


def _worse_than_zeros(found: Measurement) -> str:
    """The first output decides, but none may be beyond all use; "" where none is."""
    error = found.metrics.get("other_outputs_relative_error")
    if not isinstance(error, float) or error < _WORSE_THAN_ZEROS:
        return ""
    return f"a further output is off by {error:.4g}% of its size, worse than zeros would be: lost"


def _collapsed(found: Measurement) -> bool:
    """Further off than a constant: no limit makes that a model."""
    spread = found.metrics.get("spread_error")
    return isinstance(spread, float) and spread >= _WORSE_THAN_CONSTANT


def exit_code(verdict: Verdict, on_inconclusive: Literal["estimate", "fail"]) -> int:
    """0 where parity is kept, 1 where it is lost or, if a decision was demanded, undecided.

    Args:
        verdict: Of a bundle.
        on_inconclusive: ``estimate``: an undecided artifact counts by its
            estimate; ``fail``: it counts as lost.
    """
    if all(acceptable(artifact, on_inconclusive) for artifact in verdict.artifacts):
        return 0
    return 1


def acceptable(artifact: ArtifactVerdict, on_inconclusive: Literal["estimate", "fail"]) -> bool:
    """Whether parity counts as kept; see ``exit_code``."""
    if artifact.status != "inconclusive":
        return artifact.status == "pass"
    return all(
        holds(artifact, each, on_inconclusive) for each in artifact.checks or _sole_check(artifact)
    )


def holds(
    artifact: ArtifactVerdict, held: Check, on_inconclusive: Literal["estimate", "fail"]
) -> bool:
    """Whether one check counts as kept: an undecided one by its estimate, or not at all."""
    if held.status != "inconclusive":
        return held.status == "pass"
    value = artifact.metrics.get(held.metric)
    if on_inconclusive == "fail" or not isinstance(value, Interval):
        return False
    return value.estimate <= held.limit if held.at_most else value.estimate >= held.limit


def _sole_check(artifact: ArtifactVerdict) -> tuple[Check, ...]:
    """The check of a verdict that was written before there were several."""
    limit = math.nan if artifact.limit is None else artifact.limit
    drop = artifact.gated == "top1_drop"
    return (Check(artifact.gated, limit, drop, artifact.status, artifact.reason),)
