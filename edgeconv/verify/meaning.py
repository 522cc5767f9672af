"""What the scores of every item say where the counted answers can't decide.

Only the items on which the two models differ in being right tell of the top-1
drop. Every item tells how far its distribution moved (KL) and whether the right
class came nearer its best rival (margin), so these are known far more exactly.
They stand beside the gate and never decide it: no margin of theirs is a drop.
"""

from __future__ import annotations

from edgeconv.types import ArtifactVerdict, Interval

__all__ = ["evidence"]


def evidence(verdict: ArtifactVerdict) -> tuple[str, ...]:
    """A sentence on each paired statistic of the scores.

    Args:
        verdict: Of a classifier; others have no such statistics.

    Returns:
        At most two; empty where the artifact is numerically the reference, the
        gate decided, or nothing was measured.
    """
    if verdict.equivalent or verdict.status != "inconclusive":
        return ()
    found = (_divergence(verdict), _margin(verdict))
    return tuple(sentence for sentence in found if sentence)


def _divergence(verdict: ArtifactVerdict) -> str:
    value = verdict.metrics.get("mean_kl_interval")
    if not isinstance(value, Interval):
        return ""
    return (
        f"KL divergence {value.estimate:.3g} nats {_interval(value)}: how far the scores moved "
        "on average, 0 being not at all"
    )


def _margin(verdict: ArtifactVerdict) -> str:
    value = verdict.metrics.get("margin_change")
    if not isinstance(value, Interval):
        return ""
    labelled = "top1" in verdict.metrics
    whose = "the right class" if labelled else "the original's answer"
    return (
        f"margin of {whose} over its best rival {value.estimate:+.3g} logits "
        f"{_interval(value)}{_share(verdict, value)}: {_direction(value, labelled)}"
    )


def _share(verdict: ArtifactVerdict, value: Interval) -> str:
    usual = verdict.metrics.get("margin_reference")
    if not isinstance(usual, float) or usual <= 0.0:
        return ""
    return f", {100.0 * abs(value.estimate) / usual:.2g}% of the usual {usual:.3g}"


def _direction(value: Interval, labelled: bool) -> str:
    if value.ci95[0] <= 0.0 <= value.ci95[1]:
        return "no shift in either direction can be told"
    less = value.ci95[1] < 0.0
    if not labelled:
        return f"the original's answers are held {'less' if less else 'more'} firmly"
    return f"right answers are held {'less' if less else 'more'} firmly, " + (
        "so a drop is likelier than a gain" if less else "so a gain is likelier than a drop"
    )


def _interval(value: Interval) -> str:
    low, high = value.ci95
    return f"(95% interval {low:.3g} to {high:.3g})"
