"""Scores as logits: what confidence, divergence and margin are told from."""

from __future__ import annotations

import numpy as np

from edgeconv.types import Activation, Array

__all__ = [
    "SMALLEST",
    "are_probabilities",
    "confidences",
    "confidences_of_probabilities",
    "divergence",
    "margins",
    "smallest_of",
    "threshold_for",
    "to_logits",
]

#: An int8 softmax has steps of 1/256: what is smaller than half of one is 0 there. Both
#: models' probabilities below count as this much, else all that was rounded away would
#: look like certainty.
SMALLEST = 1.0 / 512.0


def are_probabilities(reference: Array, activation: Activation, threshold: float) -> bool:
    """Whether the softmax or sigmoid stayed inside the model.

    Args:
        reference: float64 [N, C] of the reference, some items.
        activation: What was taken off the head.
        threshold: Where a single unit says yes.
    """
    if activation != "linear" or len(reference) == 0:
        return False
    if reference.shape[1] == 1:
        return threshold == 0.5
    return bool((reference >= 0.0).all() and (np.abs(reference.sum(axis=1) - 1.0) < 1e-3).all())


def smallest_of(classes: int) -> float:
    """As ``SMALLEST``, but so that all of a thousand classes together count little."""
    return min(SMALLEST, 0.01 / classes)


def to_logits(scores: Array, smallest: float) -> Array:
    """Logits of which these probabilities are the softmax (of one unit, the sigmoid).

    Args:
        scores: float64 [N, C], probabilities; quantized ones needn't sum to 1.
        smallest: Those below count as this.

    Returns:
        float64 [N, C].
    """
    kept = np.maximum(scores, smallest)
    if scores.shape[1] > 1:
        return np.asarray(np.log(kept))
    return np.asarray(np.log(kept) - np.log(np.maximum(1.0 - scores, smallest)))


def confidences_of_probabilities(scores: Array) -> Array:
    """Probability that a model gives its own answer, where it says so itself.

    Args:
        scores: float64 [N, C], probabilities.

    Returns:
        float64 [N] in [0, 1].
    """
    yes = scores[:, 0]
    best = np.maximum(yes, 1.0 - yes) if scores.shape[1] == 1 else scores.max(axis=1)
    return np.asarray(np.clip(best, 0.0, 1.0))


def confidences(logits: Array, activation: Activation) -> Array:
    """Probability that a model gives its own answer.

    Args:
        logits: float64 [N, C].
        activation: Of the head; a single unit is a sigmoid's.

    Returns:
        float64 [N] in (0, 1].
    """
    if logits.shape[1] == 1:
        return np.asarray(1.0 / (1.0 + np.exp(-np.abs(logits[:, 0]))))
    best = logits.max(axis=1)
    if activation == "sigmoid":
        return np.asarray(np.exp(-np.logaddexp(0.0, -best)))
    return np.asarray(1.0 / np.exp(logits - best[:, None]).sum(axis=1))


def margins(logits: Array, classes: Array) -> Array:
    """How far a class lies above its best rival; negative where it isn't the answer.

    Args:
        logits: float64 [N, C]; of a single unit the rival of yes is no, at 0.
        classes: int64 [N].

    Returns:
        float64 [N].
    """
    if logits.shape[1] == 1:
        return np.asarray(np.where(classes > 0, 1.0, -1.0) * logits[:, 0])
    rows = np.arange(len(logits))
    rivals = logits.copy()
    rivals[rows, classes] = -np.inf
    return np.asarray(logits[rows, classes] - rivals.max(axis=1))


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
