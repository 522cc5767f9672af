"""What two classifiers answer to the same items, counted pair by pair."""

from __future__ import annotations

import numpy as np

from edgeconv.errors import UsageError
from edgeconv.types import Activation, Array

__all__ = ["AnswerMeter", "divergence", "threshold_for"]


class AnswerMeter:
    """Streaming counts of right and equal answers.

    Attributes:
        samples: Items so far.
        labelled: Items so far that had a label.
        agreeing: Items to which both give the same answer.
        reference_only: Items that the reference alone gets right.
        candidate_only: Items that the candidate alone gets right.
        right: Items that (reference, candidate) get right.
        right_in_5: Items whose label is among the five highest of each.
        mean_kl: Mean divergence of the candidate from the reference, nats.
    """

    def __init__(self, activation: Activation, threshold: float = 0.0) -> None:
        self.samples = 0
        self.labelled = 0
        self.agreeing = 0
        self.reference_only = 0
        self.candidate_only = 0
        self.right = [0, 0]
        self.right_in_5 = [0, 0]
        self._activation: Activation = activation
        self._threshold = threshold
        self._kl = 0.0
        self._kl_items = 0

    @property
    def mean_kl(self) -> float:
        """Nats; 0 where nothing was counted."""
        return self._kl / max(1, self._kl_items)

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
        ours = self._classes(reference)
        theirs = np.where(sound, self._classes(candidate), -1)
        self.samples += len(ours)
        self.agreeing += int(np.count_nonzero(ours == theirs))
        for value in divergence(reference[sound], candidate[sound], self._activation).tolist():
            self._kl += value
        self._kl_items += int(np.count_nonzero(sound))
        if y is not None:
            self._count_right(ours == y, theirs == y)
            self._count_in_5(reference, candidate, y, sound)
        return np.stack([ours, theirs], axis=1)

    def _count_right(self, ours: Array, theirs: Array) -> None:
        self.labelled += len(ours)
        self.reference_only += int(np.count_nonzero(ours & ~theirs))
        self.candidate_only += int(np.count_nonzero(theirs & ~ours))
        self.right[0] += int(np.count_nonzero(ours))
        self.right[1] += int(np.count_nonzero(theirs))

    def _count_in_5(self, reference: Array, candidate: Array, y: Array, sound: Array) -> None:
        classes = max(2, reference.shape[1])
        if y.min() < 0 or y.max() >= classes:
            stray = int(y[(y < 0) | (y >= classes)][0])
            raise UsageError(
                f"A label of the data is class {stray}, but the model has {classes} classes.",
                "Use data with this model's classes, or give labels by name.",
            )
        if reference.shape[1] > 5:
            self.right_in_5[0] += int(np.count_nonzero(_ranks(reference, y) < 5))
            self.right_in_5[1] += int(np.count_nonzero((_ranks(candidate, y) < 5) & sound))

    def _classes(self, scores: Array) -> Array:
        """The answer to each item; of equal scores the lowest index wins."""
        if scores.shape[1] == 1:
            return (scores[:, 0] > self._threshold).astype(np.int64)
        return np.asarray(np.argmax(scores, axis=1))


def _ranks(scores: Array, y: Array) -> Array:
    """Place of class y among the scores, 0 the best; of equal ones the lower index first."""
    own = np.take_along_axis(scores, y[:, None], axis=1)
    before = np.arange(scores.shape[1])[None, :] < y[:, None]
    better = (scores > own) | ((scores == own) & before)
    return np.asarray(np.count_nonzero(better, axis=1))


def threshold_for(reference: Array, activation: Activation) -> float:
    """Where one unit alone says yes.

    Args:
        reference: float [N, 1], all the reference's answers.
        activation: What was taken off the head.

    Returns:
        0.5 where the sigmoid stayed inside the model, else 0 (the logit of 0.5).
    """
    if activation != "linear" or reference.shape[1] != 1 or len(reference) == 0:
        return 0.0
    # Logits that all lie within [0, 1] would mean that the answer is always yes.
    return 0.5 if reference.min() >= 0.0 and reference.max() <= 1.0 else 0.0


def divergence(reference: Array, candidate: Array, activation: Activation) -> Array:
    """Kullback-Leibler divergence of the candidate's distribution from the reference's.

        softmax, linear:  Σ p (log p - log q),  p and q the softmax of the scores
        sigmoid:          the same of each unit's {yes, no}, summed over the units

    Args:
        reference: float64 [N, C] logits (scores, where nothing was taken off).
        candidate: float64 [N, C] logits.
        activation: What was taken off the head.

    Returns:
        float64 [N], nats, at least 0.
    """
    if activation == "sigmoid" or reference.shape[1] == 1:
        log_p, log_q = _log_sigmoid(reference), _log_sigmoid(candidate)
        log_not_p, log_not_q = _log_sigmoid(-reference), _log_sigmoid(-candidate)
        terms = np.exp(log_p) * (log_p - log_q) + np.exp(log_not_p) * (log_not_p - log_not_q)
    else:
        log_p, log_q = _log_softmax(reference), _log_softmax(candidate)
        terms = np.exp(log_p) * (log_p - log_q)
    # Rounding can leave -1e-17 where the two are equal.
    return np.asarray(np.maximum(terms.sum(axis=1), 0.0))


def _log_softmax(x: Array) -> Array:
    shifted = x - x.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _log_sigmoid(x: Array) -> Array:
    return np.asarray(-np.logaddexp(0.0, -x))
