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

from edgeconv.errors import UsageError
from edgeconv.types import (
    ArtifactVerdict,
    Check,
    Interval,
    Precision,
    Status,
    Task,
    Verdict,
)
from edgeconv.verify.checks import check
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

Metric = Literal["top1", "agreement", "cosine", "relative_error"]

#: Smallest mean cosine and largest relative error (percent) by precision.
#: Float forms differ by rounding. The int8 limits lie just beyond what a sound
#: int8 MobileNetV2 shows on its logits (0.976 and 23%, at 92% agreement).
_COSINE: dict[Precision, float] = {"fp32": 0.99999, "fp16": 0.9995}
_RELATIVE_ERROR: dict[Precision, float] = {"fp32": 0.1, "fp16": 1.0}
_COSINE_QUANTIZED = 0.95
_RELATIVE_ERROR_QUANTIZED = 25.0

#: Always answering the reference's mean answer scores this; worse is no model.
_WORSE_THAN_CONSTANT = 100.0
_COLLAPSED = ", but further off than always answering the reference's mean: lost"


@dataclass(frozen=True)
class Gate:
    """How much may be lost.

    Attributes:
        metric: What decides; None picks top-1 with labels, agreement without,
            cosine for embeddings, relative error for the rest.
        max_drop_pp: Largest top-1 drop, percentage points.
        min_agreement: Smallest agreement, percent.
        min_cosine: Smallest mean cosine; None for the precision's default.
        max_relative_error: Largest, percent; None for the precision's default.
    """

    metric: Metric | None = None
    max_drop_pp: float = 1.0
    min_agreement: float = 90.0
    min_cosine: float | None = None
    max_relative_error: float | None = None

    def choose(self, classifies: bool, labelled: bool, task: Task) -> Metric:
        """The metric that decides here.

        Raises:
            UsageError: The one that was asked for can't be measured.
        """
        if self.metric is None:
            if classifies:
                return "top1" if labelled else "agreement"
            return "cosine" if task == "embedding" else "relative_error"
        if self.metric in ("top1", "agreement") and not classifies:
            raise UsageError(
                f"The gate asks for {self.metric}, but the model's output is no row of classes.",
                "Gate on cosine or relative-error instead.",
            )
        if self.metric == "top1" and not labelled:
            raise UsageError(
                "The gate asks for top-1, but the data has no labels.",
                "Give labelled data with --parity, or gate on agreement.",
            )
        return self.metric

    def describe(self, metric: Metric) -> str:
        """The gate in words, such as ``top-1 drop at most 1.0 points``."""
        if metric == "top1":
            return f"top-1 drop at most {float(self.max_drop_pp)} points, with 95% confidence"
        if metric == "agreement":
            return f"agreement at least {self.min_agreement:g}%, with 95% confidence"
        if metric == "cosine":
            return f"mean cosine at least {_stated(self.min_cosine)}"
        return f"relative error at most {_stated(self.max_relative_error, '%')}"


def _stated(limit: float | None, unit: str = "") -> str:
    return "the precision's default" if limit is None else f"{limit:g}{unit}"


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
    gated, limit = _limit(gate, metric, precision)
    if found.broken:
        reason = broken_sentence(found.broken, found.samples, noun)
        return Outcome("fail", reason, None, gated, limit)
    if found.equivalent:
        reason = equivalent_sentence(found.samples, noun)
        return Outcome("pass", reason, None, gated, limit)
    held = check(gated, limit, None, found, noun)
    if metric in ("cosine", "relative_error") and _collapsed(found):
        return Outcome("fail", held.reason.rpartition(":")[0] + _COLLAPSED, None, gated, limit)
    return Outcome(held.status, held.reason, held.needed, gated, limit)


def _collapsed(found: Measurement) -> bool:
    """Further off than a constant: no limit makes that a model."""
    spread = found.metrics.get("spread_error")
    return isinstance(spread, float) and spread >= _WORSE_THAN_CONSTANT


def _limit(gate: Gate, metric: Metric, precision: Precision) -> tuple[str, float]:
    if metric == "top1":
        return "top1_drop", gate.max_drop_pp
    if metric == "agreement":
        return "agreement_interval", gate.min_agreement
    if metric == "cosine":
        default = _COSINE.get(precision, _COSINE_QUANTIZED)
        return "cosine_mean", default if gate.min_cosine is None else gate.min_cosine
    default = _RELATIVE_ERROR.get(precision, _RELATIVE_ERROR_QUANTIZED)
    chosen = gate.max_relative_error
    return "relative_error", default if chosen is None else chosen


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


#: What --max-drop may name: what 100% of it is, and the highest loss that makes sense.
_LOSSES = {"top1": 100.0, "agreement": 100.0, "cosine": 2.0, "relative-error": 1e6}


def parse_max_drop(text: str) -> Gate:
    """The gate of ``--max-drop``.

    Args:
        text: ``NAME=LOSS``, such as ``top1=1.0`` (points), ``agreement=10``
            (points below 100%), ``cosine=0.05`` (below 1) or
            ``relative-error=25`` (percent).

    Raises:
        UsageError: Anything else.
    """
    name, equals, number = text.strip().partition("=")
    hint = "Write --max-drop top1=1.0 (or agreement=10, cosine=0.05, relative-error=25)."
    if name not in _LOSSES or not equals:
        raise UsageError(f"--max-drop doesn't understand {text[:40]!r}.", hint)
    try:
        loss = float(number)
    except ValueError:
        loss = math.nan
    # Refuses NaN too: a comparison with it is never true.
    if not 0.0 <= loss <= _LOSSES[name]:
        raise UsageError(
            f"--max-drop {name} takes a number from 0 to {_LOSSES[name]:g}, not {number[:20]!r}.",
            hint,
        )
    if name == "top1":
        # Only the margin: data without labels is still judged, by agreement.
        return Gate(max_drop_pp=loss)
    if name == "agreement":
        return Gate(metric="agreement", min_agreement=100.0 - loss)
    if name == "cosine":
        return Gate(metric="cosine", min_cosine=1.0 - loss)
    return Gate(metric="relative_error", max_relative_error=loss)
