"""What two classifiers answer to the same items, counted pair by pair."""

from __future__ import annotations

import numpy as np

from edgeconv.errors import UsageError
from edgeconv.types import Activation, Array, Interval, MetricValue
from edgeconv.verify.classes import ClassMeter
from edgeconv.verify.confidence import CalibrationMeter
from edgeconv.verify.logits import (
    SMALLEST,
    are_probabilities,
    confidences,
    confidences_of_probabilities,
    divergence,
    margins,
    smallest_of,
    threshold_for,
    to_logits,
)
from edgeconv.verify.moments import Moments
from edgeconv.verify.paired import paired_drop, wilson

__all__ = ["AnswerMeter", "divergence", "threshold_for"]


class AnswerMeter:
    """Streaming counts of right and equal answers, and how far the scores moved.

    Attributes:
        samples: Items so far.
        labelled: Items so far that had a label.
        agreeing: Items to which both give the same answer.
        top1: Which of the two gets an item right, by paired counts.
        top5: For which of the two the label is among the five highest.
    """

    def __init__(self, activation: Activation, threshold: float = 0.0) -> None:
        self.samples = 0
        self.labelled = 0
        self.agreeing = 0
        self.top1 = _Pairs()
        self.top5 = _Pairs()
        self._activation: Activation = activation
        self._threshold = threshold
        self._units = 0
        self._probabilities = False
        self._kl, self._change, self._margin = Moments(), Moments(), Moments()
        self._calibration = CalibrationMeter(), CalibrationMeter()
        self._by_class = ClassMeter(0)

    def add(self, reference: Array, candidate: Array, y: Array | None, sound: Array) -> Array:
        """Fold in some items.

        Args:
            reference: float64 [N, C] logits, finite.
            candidate: float64 [N, C] logits.
            y: int64 [N] labels, or None.
            sound: bool [N]; where False the candidate's answer counts as none at all.

        Returns:
            int64 [N, 2]: the class of either, -1 for none.

        Raises:
            UsageError: A label that the model doesn't have.
        """
        if self.samples == 0:
            self._begin(reference)
        if y is not None:
            _check_labels(y, max(2, self._units))
        ours = self._classes(reference)
        theirs = np.where(sound, self._classes(candidate), -1)
        self.samples += len(ours)
        self.agreeing += int(np.count_nonzero(ours == theirs))
        if y is not None:
            self._count_right(reference, candidate, ours == y, theirs == y, y, sound)
        self._weigh(reference, candidate, ours if y is None else y, sound)
        if y is not None:
            self._trust(reference, candidate, ours == y, theirs == y, sound)
        return np.stack([ours, theirs], axis=1)

    def _begin(self, reference: Array) -> None:
        self._units = reference.shape[1]
        self._probabilities = are_probabilities(reference, self._activation, self._threshold)
        self._by_class = ClassMeter(max(2, self._units))

    def _logits(self, scores: Array, smallest: float) -> Array:
        return to_logits(scores, smallest) if self._probabilities else scores

    def _count_right(
        self, reference: Array, candidate: Array, ours: Array, theirs: Array, y: Array, sound: Array
    ) -> None:
        self.labelled += len(y)
        self.top1.add(ours, theirs)
        self._by_class.add(y, ours, theirs)
        if self._units > 5:
            self.top5.add(_ranks(reference, y) < 5, (_ranks(candidate, y) < 5) & sound)

    def _weigh(self, reference: Array, candidate: Array, classes: Array, sound: Array) -> None:
        """How far the distribution moved, and how much nearer the class came to its rival."""
        pair = reference[sound], candidate[sound]
        smallest = smallest_of(self._units)
        before, after = (self._logits(scores, smallest) for scores in pair)
        self._kl.add(divergence(before, after, self._activation).tolist())
        # A margin is between two classes, whatever the many others add up to.
        was, now = (margins(self._logits(scores, SMALLEST), classes[sound]) for scores in pair)
        self._change.add((now - was).tolist())
        self._margin.add(np.abs(was).tolist())

    def _trust(
        self, reference: Array, candidate: Array, ours: Array, theirs: Array, sound: Array
    ) -> None:
        if self._activation == "linear" and not self._probabilities:
            # Scores of no known scale tell no confidence.
            return
        for meter, scores, right in zip(
            self._calibration, (reference, candidate), (ours, theirs), strict=True
        ):
            meter.add(self._confidences(scores[sound]), right[sound])

    def _confidences(self, scores: Array) -> Array:
        if self._probabilities:
            return confidences_of_probabilities(scores)
        return confidences(scores, self._activation)

    def _classes(self, scores: Array) -> Array:
        """The answer to each item; of equal scores the lowest index wins."""
        if scores.shape[1] == 1:
            return (scores[:, 0] > self._threshold).astype(np.int64)
        return np.asarray(np.argmax(scores, axis=1))

    def metrics(self) -> dict[str, MetricValue]:
        """What was measured; see ``verify.metrics``."""
        found: dict[str, MetricValue] = {}
        if self.labelled:
            found.update(self.top1.metrics("top1"))
            if self._units > 5:
                found.update(self.top5.metrics("top5"))
        if self.samples:
            agreement = wilson(self.agreeing, self.samples)
            found |= {"agreement": agreement.estimate, "agreement_interval": agreement}
        if worst := self._by_class.worst():
            found["worst_class_drop"] = worst.drop
            found["worst_class"] = float(worst.index)
            found["worst_class_samples"] = float(worst.samples)
        before, after = (meter.error for meter in self._calibration)
        if after is not None and before is not None:
            found |= {"ece": after, "ece_reference": before}
        return found | self._moved()

    def _moved(self) -> dict[str, MetricValue]:
        found: dict[str, MetricValue] = {"mean_kl": max(0.0, self._kl.mean)}
        for name, value in (
            ("mean_kl_interval", self._kl.interval(lowest=0.0)),
            ("margin_change", self._change.interval()),
        ):
            if value is not None:
                found[name] = value
        return found | {"margin_reference": self._margin.mean}


class _Pairs:
    """How often each of two models is right, and how often alone."""

    def __init__(self) -> None:
        self.samples = 0
        self.right = [0, 0]
        self.alone = [0, 0]

    def add(self, ours: Array, theirs: Array) -> None:
        """Fold in bool [N] of the reference and of the candidate."""
        self.samples += len(ours)
        for at, (one, other) in enumerate(((ours, theirs), (theirs, ours))):
            self.right[at] += int(np.count_nonzero(one))
            self.alone[at] += int(np.count_nonzero(one & ~other))

    @property
    def drop(self) -> Interval:
        return paired_drop(self.alone[0], self.alone[1], self.samples)

    def metrics(self, name: str) -> dict[str, MetricValue]:
        return {
            name: 100.0 * self.right[1] / self.samples,
            f"{name}_reference": 100.0 * self.right[0] / self.samples,
            f"{name}_drop": self.drop,
        }


def _check_labels(y: Array, classes: int) -> None:
    if y.min() < 0 or y.max() >= classes:
        stray = int(y[(y < 0) | (y >= classes)][0])
        raise UsageError(
            f"A label of the data is class {stray}, but the model has {classes} classes.",
            "Use data with this model's classes, or give labels by name.",
        )


def _ranks(scores: Array, y: Array) -> Array:
    """Place of class y among the scores, 0 the best; of equal ones the lower index first."""
    own = np.take_along_axis(scores, y[:, None], axis=1)
    before = np.arange(scores.shape[1])[None, :] < y[:, None]
    better = (scores > own) | ((scores == own) & before)
    return np.asarray(np.count_nonzero(better, axis=1))
