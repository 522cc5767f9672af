"""Precision, recall and F1 of each class.

precision = right answers of a class / all answers of that class
recall    = right answers of a class / all pictures of that class (its support)
F1        = 2 * precision * recall / (precision + recall)

A class that was never answered has no precision, one without pictures no recall. The
macro average is over the classes with pictures, where what there is none of counts 0,
as in scikit-learn's ``classification_report`` of those classes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeconv.history import TestResult
from edgeconv.report.training.confusion import count

__all__ = ["ClassScores", "Scores", "scores_of", "scores_text", "scores_to_json"]

_SCHEMA_VERSION = 1
_LONGEST_NAME = 40


@dataclass(frozen=True)
class ClassScores:
    """How well a class is told from the others.

    Attributes:
        label: Its name.
        precision: Percent; None where the class was never answered.
        recall: Percent; None where there is no picture of it.
        f1: Percent; None where there is no picture of it.
        support: Pictures of it.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class Scores:
    """How well all are told apart.

    Attributes:
        accuracy: Percent of right answers; None without pictures.
        classes: By class index.
        macro: Mean over the classes that have pictures.
        confused: (true, predicted, times) of the pairs most often confused, most first.
    """

    accuracy: float | None
    classes: tuple[ClassScores, ...]
    macro: ClassScores
    confused: tuple[tuple[str, str, int], ...]


def scores_of(test: TestResult, labels: Sequence[str]) -> Scores:
    """Score the answers of a test, class by class.

    Args:
        test: The answers.
        labels: Class names by index.
    """
    counts = count(test, len(labels))
    right, true, answered = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    classes = tuple(
        _class_scores(label, int(right[at]), int(answered[at]), int(true[at]))
        for at, label in enumerate(labels)
    )
    items = int(counts.sum())
    pairs = sorted(
        (
            (int(counts[row, column]), row, column)
            for row, column in zip(*counts.nonzero(), strict=True)
            if row != column
        ),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    return Scores(
        accuracy=100 * int(right.sum()) / items if items else None,
        classes=classes,
        macro=_mean([each for each in classes if each.support], items),
        confused=tuple((labels[row], labels[column], times) for times, row, column in pairs[:5]),
    )


def _class_scores(label: str, right: int, answered: int, support: int) -> ClassScores:
    return ClassScores(
        label=label,
        precision=100 * right / answered if answered else None,
        recall=100 * right / support if support else None,
        f1=200 * right / (answered + support) if support else None,
        support=support,
    )


def _mean(classes: Sequence[ClassScores], items: int) -> ClassScores:
    def mean(name: str) -> float | None:
        values = [getattr(each, name) or 0.0 for each in classes]
        return sum(values) / len(values) if values else None

    return ClassScores("macro average", mean("precision"), mean("recall"), mean("f1"), items)


def scores_to_json(scores: Scores) -> dict[str, Any]:
    """The content of report.json: percent, null for what there is not."""
    return {
        "schema_version": _SCHEMA_VERSION,
        "items": scores.macro.support,
        "accuracy": scores.accuracy,
        "macro": {name: getattr(scores.macro, name) for name in ("precision", "recall", "f1")},
        "classes": [{"index": at, **asdict(each)} for at, each in enumerate(scores.classes)],
        "confused": [
            {"true": true, "predicted": predicted, "times": times}
            for true, predicted, times in scores.confused
        ],
    }


def scores_text(scores: Scores) -> str:
    """The content of report.txt."""
    names = [_short(each.label) for each in (*scores.classes, scores.macro)]
    width = max(map(_columns, names))
    last = len(str(max(len(scores.classes) - 1, 0)))
    head = f"{'':{last}}  {'class':{width}}  {'precision':>9}  {'recall':>9}  {'F1':>9}  pictures"
    rows = [f"{at:>{last}}  {_row(each, width)}" for at, each in enumerate(scores.classes)]
    lines = [head, *rows, "", f"{'':{last}}  {_row(scores.macro, width)}"]
    if scores.accuracy is not None:
        right = round(scores.accuracy * scores.macro.support / 100)
        lines += ["", f"accuracy {scores.accuracy:.2f} % ({right} of {scores.macro.support})"]
    if scores.confused:
        lines += ["", "most often taken for another:"]
        lines += [f"  {a} for {b}, {_times(times)}" for a, b, times in scores.confused]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _row(scores: ClassScores, width: int) -> str:
    name = _short(scores.label)
    cells = (
        f"{'-' if value is None else f'{value:.2f} %':>9}"
        for value in (scores.precision, scores.recall, scores.f1)
    )
    return f"{name}{' ' * (width - _columns(name))}  {'  '.join(cells)}  {scores.support:>8}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _columns(text: str) -> int:
    """Columns of a terminal: Chinese characters take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(bool(unicodedata.combining(character)) for character in text)
