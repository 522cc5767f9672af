"""How near some answers are to the reference's, on a few items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeconv.types import Activation, Array
from edgeconv.verify.answers import threshold_for

__all__ = ["Fit", "Yardstick", "rows"]


@dataclass(frozen=True)
class Fit:
    """One set of answers against the reference's.

    Attributes:
        error: ‖a - b‖ over the reference's spread around its mean answer, percent:
            always answering that mean gives 100.
        agreement: Items with the same answer, percent; None for no classifier.
    """

    error: float
    agreement: float | None


@dataclass(frozen=True, eq=False)
class Yardstick:
    """The reference's answers, and what counts as the same answer.

    Attributes:
        truth: float64 [N, C], finite.
        activation: What was taken off the head.
        classifies: Whether the answers are classes.
    """

    truth: Array
    activation: Activation
    classifies: bool

    def first(self, count: int) -> Yardstick:
        """For ``count`` items, evenly spread; see ``places``."""
        chosen = self.truth[places(len(self.truth), count)]
        return Yardstick(chosen, self.activation, self.classifies)

    def fit(self, answers: Array) -> Fit:
        """Measure float64 [N, C]; NaN and infinity are as far off as can be."""
        if answers.shape != self.truth.shape or not np.isfinite(answers).all():
            return Fit(np.inf, 0.0 if self.classifies else None)
        agreement = None
        if self.classifies:
            same = self._classes(self.truth) == self._classes(answers)
            agreement = 100.0 * float(np.mean(same))
        truth, other = self._comparable(self.truth), self._comparable(answers)
        return Fit(100.0 * float(np.linalg.norm(other - truth)) / _spread(truth), agreement)

    def _comparable(self, answers: Array) -> Array:
        """Softmax doesn't see what all classes share, so neither does the error."""
        if not self.classifies or answers.shape[1] == 1 or self.activation == "sigmoid":
            return answers
        return np.asarray(answers - answers.mean(axis=1, keepdims=True))

    def _classes(self, scores: Array) -> Array:
        if scores.shape[1] == 1:
            return np.asarray(scores[:, 0] > threshold_for(self.truth, self.activation))
        return np.asarray(np.argmax(scores, axis=1))


def places(total: int, count: int) -> list[int]:
    """``count`` positions out of ``total``, evenly spread."""
    return [place * total // count for place in range(count)] if count < total else [*range(total)]


def rows(answers: Array) -> Array:
    """Any [N, ...] as float64 [N, U]."""
    return np.asarray(answers, np.float64).reshape(len(answers), -1)


def _spread(truth: Array) -> float:
    """Norm around the mean answer; around zero where all answers are the same."""
    around_mean = float(np.linalg.norm(truth - truth.mean(axis=0)))
    norm = float(np.linalg.norm(truth))
    # Rounding alone leaves a spread of this order in a constant signal.
    return around_mean if around_mean > 1e-9 * norm else max(norm, 1e-30)
