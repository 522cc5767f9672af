"""Every metric that a verdict may hold: its unit, its direction, what it means.

Values are percent, points, nats or dB, never fractions. A metric with a
companion interval (``mean_kl`` and ``mean_kl_interval``) is held against a
threshold by that interval.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgeconv.types import MetricValue, Task

__all__ = ["METRICS", "MetricInfo", "describe_metric", "resolve"]

_CLASSES: tuple[Task, ...] = ("classification",)
_VECTORS: tuple[Task, ...] = ("embedding",)
_NUMBERS: tuple[Task, ...] = ("embedding", "regression", "raw")
_SCORES: tuple[Task, ...] = ("regression", "raw")
_ALL: tuple[Task, ...] = ("classification", "embedding", "regression", "raw")


@dataclass(frozen=True)
class MetricInfo:
    """One metric, for whoever prints it or holds it against a threshold.

    Attributes:
        unit: ``%``, ``points``, ``nats``, ``dB`` or "".
        at_most: A threshold is a largest value; False for a smallest one; None
            where there is nothing to hold it against (an index, a count).
        title: A few words for tables and sentences.
        tasks: Where it is measured.
        meaning: One sentence.
    """

    unit: str
    at_most: bool | None
    title: str
    tasks: tuple[Task, ...]
    meaning: str


def _info(
    title: str, unit: str, at_most: bool | None, tasks: tuple[Task, ...], meaning: str
) -> MetricInfo:
    return MetricInfo(unit, at_most, title, tasks, meaning)


#: Name -> what it is; the order is that of tables.
METRICS: Mapping[str, MetricInfo] = {
    "top1": _info("top-1", "%", False, _CLASSES, "Share of right answers."),
    "top1_reference": _info(
        "top-1 of the original", "%", False, _CLASSES, "The same of the original."
    ),
    "top1_drop": _info(
        "top-1 drop",
        "points",
        True,
        _CLASSES,
        "How much of its top-1 the original loses; Tango's interval.",
    ),
    "top5": _info(
        "top-5", "%", False, _CLASSES, "Share of items whose label is among the five best."
    ),
    "top5_reference": _info(
        "top-5 of the original", "%", False, _CLASSES, "The same of the original."
    ),
    "top5_drop": _info(
        "top-5 drop",
        "points",
        True,
        _CLASSES,
        "How much of its top-5 the original loses; Tango's interval.",
    ),
    "agreement": _info("agreement", "%", False, _CLASSES, "Share of items with the same answer."),
    "agreement_interval": _info(
        "agreement", "%", False, _CLASSES, "Share of items with the same answer; Wilson's interval."
    ),
    "worst_class_drop": _info(
        "worst class's drop",
        "points",
        True,
        _CLASSES,
        "Drop of the class that lost most, of classes with at least 5 items; "
        "the bounds hold for all classes at once.",
    ),
    "worst_class": _info("worst class", "", None, _CLASSES, "Index of that class."),
    "worst_class_samples": _info(
        "items of the worst class", "", None, _CLASSES, "How many it had."
    ),
    "ece": _info(
        "calibration error",
        "%",
        True,
        _CLASSES,
        "How far confidence and accuracy lie apart, over 15 bins of confidence.",
    ),
    "ece_reference": _info(
        "calibration error of the original", "%", True, _CLASSES, "The same of the original."
    ),
    "mean_kl": _info(
        "KL divergence", "nats", True, _CLASSES, "How much the distribution over the classes moved."
    ),
    "mean_kl_interval": _info(
        "KL divergence",
        "nats",
        True,
        _CLASSES,
        "How much the distribution over the classes moved; interval of the mean.",
    ),
    "margin_change": _info(
        "change of the margin",
        "logits",
        False,
        _CLASSES,
        "How much nearer the right class (without labels: the original's answer) came to "
        "its best rival; below 0 is worse.",
    ),
    "margin_reference": _info(
        "margin of the original",
        "logits",
        None,
        _CLASSES,
        "Mean distance between that class and its best rival.",
    ),
    "step_agreement": _info(
        "agreement by step",
        "%",
        False,
        _CLASSES,
        "Share of steps of a sequence (or places of a map) with the same answer.",
    ),
    "sequence_agreement": _info(
        "agreement by sequence",
        "%",
        False,
        _CLASSES,
        "Share of sequences (or maps) with the same answer at every step.",
    ),
    "recall_at_1": _info(
        "nearest-neighbour recall@1",
        "%",
        False,
        _VECTORS,
        "Share of items whose nearest neighbour is the one that the original finds.",
    ),
    "cosine_mean": _info(
        "mean cosine", "", False, _NUMBERS, "Angle between the two outputs of an item."
    ),
    "cosine_min": _info("smallest cosine", "", False, _NUMBERS, "The same of the worst item."),
    "relative_error": _info(
        "relative error", "%", True, _NUMBERS, "Size of the error over that of the output."
    ),
    "spread_error": _info(
        "error over spread",
        "%",
        True,
        _NUMBERS,
        "Size of the error over the spread of the output; 100% is always answering the mean.",
    ),
    "auc": _info(
        "AUC",
        "%",
        False,
        _SCORES,
        "How well the reconstruction error tells anomalies (label 1) apart.",
    ),
    "auc_reference": _info("AUC of the original", "%", False, _SCORES, "The same of the original."),
    "auc_drop": _info(
        "AUC drop",
        "points",
        True,
        _SCORES,
        "How much of its AUC the original loses; DeLong's interval.",
    ),
    "sqnr_db": _info(
        "SQNR",
        "dB",
        False,
        _ALL,
        "Power of the original's output over that of the error.",
    ),
    "max_relative_difference": _info(
        "largest difference", "%", True, _ALL, "Largest difference over the largest output."
    ),
    "other_outputs_relative_error": _info(
        "relative error of the worst further output",
        "%",
        True,
        _ALL,
        "Of the outputs after the first, the largest relative error.",
    ),
    "float_operators": _info(
        "operators in float", "", True, _ALL, "Operators of an integer model that compute in float."
    ),
}

#: Each output's own figures, where a model has several; counted from 0.
_OUTPUT = re.compile(r"output(\d{1,4})_(relative_error|sqnr_db)")

#: Name -> the key that holds its interval.
_COMPANIONS = {"agreement": "agreement_interval", "mean_kl": "mean_kl_interval"}


def describe_metric(name: str) -> MetricInfo | None:
    """What ``name`` is; None where no such metric exists."""
    if found := METRICS.get(name):
        return found
    if match := _OUTPUT.fullmatch(name):
        base = METRICS[match[2]]
        title = f"{base.title} of output {match[1]}"
        return MetricInfo(base.unit, base.at_most, title, _ALL, base.meaning)
    return None


def resolve(name: str, metrics: Mapping[str, MetricValue]) -> str | None:
    """The key of ``metrics`` that ``name`` means: dashes are taken, intervals preferred.

    Returns:
        None where it was not measured.
    """
    plain = name.strip().lower().replace("-", "_")
    for key in (_COMPANIONS.get(plain, plain), plain):
        if key in metrics:
            return key
    return None
