"""What changed answers are expected to cost, without a label.

    drop = 100 / N * sum over i of  p_i[a_i] - p_i[b_i]

p_i are the original's own probabilities, a_i its answer and b_i the candidate's. An answer
that moved between two classes of like probability costs next to nothing, whichever of
the two the label happens to be; on fifty items the labels would tell 2 points or none, by
chance. Never negative: no answer is likelier than the original's own.
"""

from __future__ import annotations

import numpy as np

from edgeconv.types import Array

__all__ = ["expected_drop"]


def expected_drop(reference: Array, candidate: Array) -> float:
    """The expected loss of top-1, in points.

    Args:
        reference: float [N, C], C > 1, logits of the original, whose head is a softmax.
        candidate: float [N, C] logits; an item with NaN counts as wholly lost.
    """
    logits = np.asarray(reference, np.float64)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(p))
    sound: Array = np.asarray(np.isfinite(candidate).all(axis=1))
    theirs = np.where(sound[:, None], candidate, 0.0).argmax(axis=1)
    kept = np.where(sound, p[rows, theirs], 0.0)
    return float(100.0 * (p.max(axis=1) - kept).mean())
