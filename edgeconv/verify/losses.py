"""What may be lost: the gate, chosen from the model and the data unless it is named.

metric           held against the gate            where nothing is said
top1             top1_drop, points                a classifier with labels
agreement        agreement_interval, %            a classifier without
cosine           cosine_mean                      an embedding
relative_error   relative_error, %                everything else
top5, worst_class, kl, steps, recall, auc         only where it is named
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from edgeconv.errors import UsageError
from edgeconv.metric_names import METRICS
from edgeconv.types import Precision, Task

__all__ = ["Gate", "Metric", "parse_max_drop"]

Metric = Literal[
    "top1",
    "agreement",
    "cosine",
    "relative_error",
    "top5",
    "worst_class",
    "kl",
    "steps",
    "recall",
    "auc",
]

#: Smallest mean cosine and largest relative error (percent) by precision.
#: Float forms differ by rounding. The int8 limits lie just beyond what a sound
#: int8 MobileNetV2 shows on its logits (0.976 and 23%, at 92% agreement).
_COSINE: dict[Precision, float] = {"fp32": 0.99999, "fp16": 0.9995}
_RELATIVE_ERROR: dict[Precision, float] = {"fp32": 0.1, "fp16": 1.0}
_COSINE_QUANTIZED = 0.95
_RELATIVE_ERROR_QUANTIZED = 25.0


@dataclass(frozen=True)
class _Kind:
    """What a metric needs, and what ``--max-drop`` says of it.

    Attributes:
        key: Of ``METRICS``.
        output: What the model has to answer with.
        labelled: Whether it needs labels.
        most: Highest loss that makes sense.
        limit: From the loss to the threshold of ``key``.
    """

    key: str
    output: Literal["classes", "class maps", "embeddings", "numbers", "no classes"]
    labelled: bool
    most: float
    limit: Callable[[float], float]


def _same(loss: float) -> float:
    return loss


def _below_hundred(loss: float) -> float:
    return 100.0 - loss


def _below_one(loss: float) -> float:
    return 1.0 - loss


_KINDS: Mapping[Metric, _Kind] = {
    "top1": _Kind("top1_drop", "classes", True, 100.0, _same),
    "agreement": _Kind("agreement_interval", "classes", False, 100.0, _below_hundred),
    "cosine": _Kind("cosine_mean", "no classes", False, 2.0, _below_one),
    "relative_error": _Kind("relative_error", "no classes", False, 1e6, _same),
    "top5": _Kind("top5_drop", "classes", True, 100.0, _same),
    "worst_class": _Kind("worst_class_drop", "classes", True, 100.0, _same),
    "kl": _Kind("mean_kl_interval", "classes", False, 1e3, _same),
    "steps": _Kind("step_agreement", "class maps", False, 100.0, _below_hundred),
    "recall": _Kind("recall_at_1", "embeddings", False, 100.0, _below_hundred),
    "auc": _Kind("auc_drop", "numbers", True, 100.0, _same),
}

_LACKS = {
    "classes": "the model's output is no row of classes",
    "class maps": "the model's output is no sequence or map of classes",
    "embeddings": "the model's output is no embedding",
    "numbers": "the model is no autoencoder",
    "no classes": "the model answers with classes",
}


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
        limit: Threshold of another metric, in its own unit.
    """

    metric: Metric | None = None
    max_drop_pp: float = 1.0
    min_agreement: float = 90.0
    min_cosine: float | None = None
    max_relative_error: float | None = None
    limit: float | None = None

    def choose(self, classifies: bool, labelled: bool, task: Task) -> Metric:
        """The metric that decides here.

        Raises:
            UsageError: The one that was asked for can't be measured.
        """
        usual = _usual(classifies, labelled, task)
        if self.metric is None:
            return usual
        kind, name = _KINDS[self.metric], self.metric.replace("_", "-")
        if kind.output not in _outputs(classifies, task):
            raise UsageError(
                f"The gate asks for {name}, but {_LACKS[kind.output]}.",
                f"Gate on {usual.replace('_', '-')} instead.",
            )
        if kind.labelled and not labelled:
            raise UsageError(
                f"The gate asks for {name}, but the data has no labels.",
                f"Give labelled data, or gate on {usual.replace('_', '-')}.",
            )
        return self.metric

    def threshold(self, metric: Metric, precision: Precision) -> tuple[str, float]:
        """The key of ``METRICS`` that ``metric`` is judged by, and its limit."""
        return _KINDS[metric].key, self._limit(metric, precision)

    def _limit(self, metric: Metric, precision: Precision) -> float:
        if metric == "top1":
            return self.max_drop_pp
        if metric == "agreement":
            return self.min_agreement
        if metric == "cosine":
            default = _COSINE.get(precision, _COSINE_QUANTIZED)
            return default if self.min_cosine is None else self.min_cosine
        if metric == "relative_error":
            default = _RELATIVE_ERROR.get(precision, _RELATIVE_ERROR_QUANTIZED)
            return default if self.max_relative_error is None else self.max_relative_error
        if self.limit is None:
            raise UsageError(
                f"The gate asks for {metric.replace('_', '-')}, but names no limit.",
                f"Write {metric.replace('_', '-')}=LIMIT.",
            )
        return self.limit

    def describe(self, metric: Metric) -> str:
        """The gate in words, such as ``top-1 drop at most 1.0 points``."""
        if metric == "top1":
            return f"top-1 drop at most {float(self.max_drop_pp)} points, with 95% confidence"
        if metric == "agreement":
            return f"agreement at least {self.min_agreement:g}%, with 95% confidence"
        if metric == "cosine":
            return f"mean cosine at least {_stated(self.min_cosine)}"
        if metric == "relative_error":
            return f"relative error at most {_stated(self.max_relative_error, '%')}"
        info = METRICS[_KINDS[metric].key]
        side = "at most" if info.at_most else "at least"
        unit = info.unit if info.unit == "%" else f" {info.unit}"
        return f"{info.title} {side} {_stated(self.limit, unit)}, with 95% confidence"


def _usual(classifies: bool, labelled: bool, task: Task) -> Metric:
    if classifies:
        return "top1" if labelled else "agreement"
    return "cosine" if task == "embedding" else "relative_error"


def _outputs(classifies: bool, task: Task) -> tuple[str, ...]:
    """What the model's first output may be called."""
    if classifies:
        return ("classes",)
    own = {"classification": "class maps", "embedding": "embeddings"}.get(task, "numbers")
    return own, "no classes"


def _stated(limit: float | None, unit: str = "") -> str:
    return "the precision's default" if limit is None else f"{limit:g}{unit}"


_HINT = (
    "Write --max-drop top1=1.0 (or agreement=10, cosine=0.05, relative-error=25, top5=1, "
    "worst-class=10, kl=0.05, steps=5, recall=5, auc=1)."
)


def parse_max_drop(text: str) -> Gate:
    """The gate of ``--max-drop``.

    Args:
        text: ``NAME=LOSS``. In points: ``top1=1.0``, ``top5=1``, ``worst-class=10``,
            ``auc=1``; in percent below 100: ``agreement=10``, ``steps=5``,
            ``recall=5``; ``cosine=0.05`` below 1; ``relative-error=25`` percent;
            ``kl=0.05`` nats.

    Raises:
        UsageError: Anything else.
    """
    name, equals, number = text.strip().partition("=")
    kinds = {metric.replace("_", "-"): metric for metric in _KINDS}
    if name not in kinds or not equals:
        raise UsageError(f"--max-drop doesn't understand {text[:40]!r}.", _HINT)
    metric = kinds[name]
    kind = _KINDS[metric]
    try:
        loss = float(number)
    except ValueError:
        loss = math.nan
    # Refuses NaN too: a comparison with it is never true.
    if not 0.0 <= loss <= kind.most:
        raise UsageError(
            f"--max-drop {name} takes a number from 0 to {kind.most:g}, not {number[:20]!r}.",
            _HINT,
        )
    limit = kind.limit(loss)
    if metric == "top1":
        # Only the margin: data without labels is still judged, by agreement.
        return Gate(max_drop_pp=limit)
    if metric == "agreement":
        return Gate(metric=metric, min_agreement=limit)
    if metric == "cosine":
        return Gate(metric=metric, min_cosine=limit)
    if metric == "relative_error":
        return Gate(metric=metric, max_relative_error=limit)
    return Gate(metric=metric, limit=limit)
