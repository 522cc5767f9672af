"""What the metrics of a verdict are called, and how many digits they deserve."""

from __future__ import annotations

from edgeconv.report.facts import Row, pointer
from edgeconv.report.text import MISSING, escape, number, signed
from edgeconv.types import Interval, MetricValue

__all__ = ["metric_cell", "shown", "title", "unit"]

#: Key in verdict.json -> (what people call it, unit, decimals); the order is that of tables.
_NAMES: dict[str, tuple[str, str, int]] = {
    "top1": ("Top-1", "%", 1),
    "top1_reference": ("Top-1 of the original", "%", 1),
    "top1_drop": ("Top-1 drop", " points", 1),
    "top5": ("Top-5", "%", 1),
    "top5_reference": ("Top-5 of the original", "%", 1),
    "top5_drop": ("Top-5 drop", " points", 1),
    "agreement": ("Agreement", "%", 1),
    "agreement_interval": ("Agreement", "%", 1),
    "worst_class_drop": ("Drop of the worst class", " points", 1),
    "worst_class": ("Index of the worst class", "", 0),
    "worst_class_samples": ("Items of the worst class", "", 0),
    "ece": ("Calibration error", "%", 2),
    "ece_reference": ("Calibration error of the original", "%", 2),
    "mean_kl": ("KL divergence", " nats", 3),
    "mean_kl_interval": ("KL divergence", " nats", 3),
    "margin_change": ("Change of the margin", " logits", 2),
    "margin_reference": ("Margin of the original", " logits", 2),
    "step_agreement": ("Agreement by step", "%", 1),
    "sequence_agreement": ("Agreement by sequence", "%", 1),
    "recall_at_1": ("Nearest-neighbour recall@1", "%", 1),
    "cosine_mean": ("Mean cosine", "", 4),
    "cosine_min": ("Smallest cosine", "", 4),
    "relative_error": ("Relative error", "%", 2),
    "spread_error": ("Error over spread", "%", 2),
    "auc": ("AUC", "%", 2),
    "auc_reference": ("AUC of the original", "%", 2),
    "auc_drop": ("AUC drop", " points", 2),
    "sqnr_db": ("SQNR", " dB", 1),
    "max_relative_difference": ("Largest difference", "%", 2),
    "other_outputs_relative_error": ("Relative error of the worst further output", "%", 2),
    "float_operators": ("Operators in float", "", 0),
}
#: By what a key ends in, for metrics that aren't named above.
_ENDINGS: tuple[tuple[str, str, int], ...] = (
    ("_db", " dB", 1),
    ("_points", " points", 1),
    ("_drop", " points", 1),
    ("_ms", " ms", 2),
    ("_error", "%", 2),
)
_DIFFERENCES = ("_drop", "_points", "_change")


def title(name: str) -> str:
    """What people call a metric, escaped."""
    known = _NAMES.get(name)
    return escape(known[0] if known else name.replace("_", " "))


def unit(name: str) -> tuple[str, int]:
    """Its unit, with a space where one belongs before it, and its decimals."""
    if name in _NAMES:
        return _NAMES[name][1:]
    for ending, word, digits in _ENDINGS:
        if name.endswith(ending):
            return word, digits
    return "", 3


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
