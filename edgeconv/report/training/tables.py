"""The history and the confusion matrix as CSV, for spreadsheets."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

from edgeconv.history import Epoch
from edgeconv.types import Array

__all__ = ["confusion_csv", "history_csv"]

_COLUMNS = (
    *("phase", "epoch", "learning_rate", "train_loss", "train_accuracy_percent"),
    *("validation_loss", "validation_accuracy_percent", "seconds"),
)


def history_csv(epochs: Sequence[Epoch]) -> str:
    """A line an epoch; empty where a figure is not known."""
    rows = (
        (
            *(each.phase, each.epoch, _number(each.learning_rate)),
            *(_number(each.train_loss), _number(100 * each.train_accuracy)),
            *(_number(each.validation_loss), _number(100 * each.validation_accuracy)),
            f"{each.seconds:.2f}",
        )
        for each in epochs
    )
    return _csv((_COLUMNS, *rows))


def confusion_csv(counts: Array, labels: Sequence[str]) -> str:
    """Rows are what a picture shows, columns what it was taken for."""
    rows = ((label, *map(int, row)) for label, row in zip(labels, counts, strict=True))
    return _csv((("true \\ predicted", *labels), *rows))


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""
