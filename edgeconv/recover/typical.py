"""How far a classifier's scores are off, of typical items.

    e = KL(p || p') + |y' - y|^2 / mean |y|^2,    the mean over all but the 2% with the largest e

A few odd items can lose a hundred times as much as all others; of two hundred held back, one
then decides the mean, and what it tells is chance. Answers that are lost are counted apart.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgeconv.types import Array

__all__ = ["typical_error"]

#: Of the items; those that ranges by ``trimmed`` leave out.
_ODD: Final = 0.02


def typical_error(reference: Array, candidate: Array) -> float:
    """See the module.

    Args:
        reference: float [N, C], logits of the original.
        candidate: float [N, C] logits; NaN makes the error infinite.

    Returns:
        0 or more, or infinity.
    """
    wanted, found = (np.asarray(y, np.float64).reshape(len(y), -1) for y in (reference, candidate))
    if not np.isfinite(found).all():
        return float("inf")
    gap = _log_softmax(wanted) - _log_softmax(found)
    divergence = (np.exp(_log_softmax(wanted)) * gap).sum(axis=1)
    power = max(float((wanted**2).sum(axis=1).mean()), 1e-12)
    error = np.maximum(divergence, 0.0) + ((found - wanted) ** 2).sum(axis=1) / power
    return float(np.sort(error)[: max(1, int(len(error) * (1 - _ODD)))].mean())


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
