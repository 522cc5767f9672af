"""What a training leaves for people: curves, confusion matrix and scores, as pictures and tables.

FOLDER/
├── curves.png     history.csv       loss and accuracy, epoch by epoch
├── confusion.png  confusion.csv     which class was taken for which
└── report.txt     report.json       precision, recall and F1 of each class
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from edgeconv.errors import HostFailure, MissingDependency
from edgeconv.history import Epoch, TestResult
from edgeconv.report.training.confusion import count, draw_confusion
from edgeconv.report.training.curves import draw_curves
from edgeconv.report.training.scores import scores_of, scores_text, scores_to_json
from edgeconv.report.training.tables import confusion_csv, history_csv

__all__ = ["FILES", "require_drawing", "write_training"]

#: Names of all files that a report may have.
FILES: Final = (
    *("curves.png", "history.csv", "confusion.png", "confusion.csv"),
    *("report.txt", "report.json"),
)


def require_drawing() -> None:
    """See that pictures can be drawn, before a training that ends in them.

    Raises:
        MissingDependency: matplotlib is absent.
    """
    if find_spec("matplotlib") is None:
        raise MissingDependency(
            "Learning curves are drawn by matplotlib, which is not installed.",
            "pip install edgeconv[report]",
        )


def write_training(
    folder: Path, epochs: Sequence[Epoch], test: TestResult | None, labels: Sequence[str]
) -> None:
    """Write the report of a training; the same training gives the same bytes.

    Only the column ``seconds`` of history.csv differs from run to run.

    Args:
        folder: There already; what it holds of these files is replaced.
        epochs: In order, at least one.
        test: Answers on pictures that training never saw; None where there are none,
            and then there is neither a confusion matrix nor a score.
        labels: Class names by index.

    Raises:
        MissingDependency: matplotlib is absent; the tables are there nevertheless.
        HostFailure: The disk is full or read-only.
    """
    files: dict[str, bytes] = {"history.csv": history_csv(epochs).encode("utf-8-sig")}
    if test is not None:
        counts, scores = count(test, len(labels)), scores_of(test, labels)
        files["confusion.csv"] = confusion_csv(counts, labels).encode("utf-8-sig")
        files["report.txt"] = scores_text(scores).encode()
        document = scores_to_json(scores)
        files["report.json"] = f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode()
    _write(folder, files)
    require_drawing()
    pictures = {"curves.png": draw_curves(epochs)}
    if test is not None:
        pictures["confusion.png"] = draw_confusion(counts, labels)
    _write(folder, pictures)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        aside = folder / f".{name}.part"
        try:
            aside.write_bytes(content)
            aside.replace(folder / name)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise HostFailure(f"{folder / name} can't be written: {error.strerror}.") from error
