"""The order of a fine-tuning, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeconv.finetune import Settings
from edgeconv.history import Epoch, TestResult
from edgeconv.types import Interval

__all__ = ["FinetuneRequest", "Finetuned", "training_folder"]


@dataclass(frozen=True)
class FinetuneRequest:
    """What to train, with what, and how.

    Attributes:
        base: Name in the zoo.
        data: Folder of pictures, one folder a class.
        output: The ``.keras`` file.
        test: Folder of pictures to test with; None for a part of ``data``.
        size: Rows and columns of the model's input; None for the base's own.
        alpha: Width of a MobileNet; None for 1.
        weights: ``imagenet``, ``none`` for random ones, or a file.
        settings: How to train; ``scratch`` follows from ``weights``.
        resume: Go on with a training that was ended.
        force: Replace an output that is there, and a training that was begun.
    """

    base: str
    data: Path
    output: Path
    test: Path | None = None
    size: int | None = None
    alpha: float | None = None
    weights: str = "imagenet"
    settings: Settings = field(default_factory=Settings)
    resume: bool = False
    force: bool = False


@dataclass(frozen=True)
class Finetuned:
    """A finished training.

    Attributes:
        output: The ``.keras`` file.
        folder: Its curves, tables and report.
        size: Rows and columns of its input.
        labels: Class names by index.
        pictures: Split -> how many pictures.
        epochs: All of them.
        best: The one whose weights were kept.
        test: Answers on the test set; None where nothing was left for one.
        accuracy: Percent of them that are right, with Wilson's interval; None likewise.
    """

    output: Path
    folder: Path
    size: int
    labels: tuple[str, ...]
    pictures: Mapping[str, int]
    epochs: tuple[Epoch, ...]
    best: Epoch
    test: TestResult | None
    accuracy: Interval | None


def training_folder(output: Path) -> Path:
    """Where checkpoints and reports of the model at ``output`` lie."""
    return output.with_name(f"{output.stem}-training")
