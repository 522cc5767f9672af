"""What training was like, epoch by epoch, and what came of it on pictures it never saw."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Epoch", "TestResult"]


@dataclass(frozen=True)
class Epoch:
    """One pass over the training split.

    Attributes:
        phase: What was trained, ``head`` (the base frozen) or ``fine``.
        epoch: Counts from 1 through all phases.
        learning_rate: Of the optimizer in this epoch.
        train_loss: Mean cross-entropy, nats.
        train_accuracy: Share of right answers, 0 to 1.
        validation_loss: Mean cross-entropy, nats; NaN where nothing validates.
        validation_accuracy: Share of right answers, 0 to 1; NaN likewise.
        seconds: It took.
    """

    phase: str
    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True)
class TestResult:
    """The finished model's answers on the test split, item by item.

    Attributes:
        labels: Class names by index.
        true: Class index of each item.
        predicted: What the model answered.
        files: A name for each item.
    """

    __test__ = False  # pytest would take the name for a test's

    labels: tuple[str, ...]
    true: tuple[int, ...]
    predicted: tuple[int, ...]
    files: tuple[str, ...]
