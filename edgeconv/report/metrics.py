"""What the metrics of a verdict are called, and how many digits they deserve."""

from __future__ import annotations

from edgeconv.metric_names import describe_metric
from edgeconv.report.facts import Row, pointer
from edgeconv.report.text import MISSING, escape, number, signed
from edgeconv.types import Interval, MetricValue

__all__ = ["metric_cell", "shown", "title", "unit"]

#: Decimals that a unit deserves, and the metrics that deserve other ones.
_DIGITS = {"%": 1, "points": 1, "nats": 3, "logits": 2, "dB": 1, "": 0}
_OTHER_DIGITS = {
    "ece": 2,
    "ece_reference": 2,
    "cosine_mean": 4,
    "cosine_min": 4,
    "auc": 2,
    "auc_reference": 2,
    "auc_drop": 2,
    "max_relative_difference": 2,
}
_DIFFERENCES = ("_drop", "_points", "_change")


def title(name: str) -> str:
    """What people call a metric, escaped."""
    known = describe_metric(name)
    words = known.title if known else name.replace("_", " ")
    return escape(words[:1].upper() + words[1:] if known else words)


def unit(name: str) -> tuple[str, int]:
    """Its unit, with a space where one belongs before it, and its decimals."""
    known = describe_metric(name)
    if known is None:
        return "", 3
    digits = 2 if name.endswith("_error") else _OTHER_DIGITS.get(name, _DIGITS[known.unit])
    return (known.unit if known.unit in ("", "%") else f" {known.unit}"), digits


def shown(name: str, value: MetricValue, at: str) -> str:
    """A metric's value; its interval, where it has one, below it."""
    write = signed if name.endswith(_DIFFERENCES) else number
    word, digits = unit(name)
    if not isinstance(value, Interval):
        return write(value, word, digits, at)
    estimate = write(value.estimate, word, digits, pointer(at, "estimate"))
    low, high = (
        write(end, "", digits, pointer(at, "ci95", index)) for index, end in enumerate(value.ci95)
    )
    return f"<span>{estimate}<small>{low} to {high}</small></span>"


def metric_cell(row: Row, name: str) -> str:
    """The same for an artifact, with the original's own value below it."""
    value = shown(name, *row.metric(name))
    original = shown(f"{name}_reference", *row.metric(f"{name}_reference"))
    if MISSING in (value, original):
        return value
    return f"<span>{value}<small>was {original}</small></span>"
