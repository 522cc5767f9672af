"""Like with like: a candidate that ends in its softmax, a reference that ends before it.

The reference's scores are then sent through a softmax, so that probabilities stand
beside probabilities. The order of the classes, and so every answer, stays the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeconv.rows import Rows
from edgeconv.types import Array
from edgeconv.verify.judge import classifies_rows
from edgeconv.verify.logits import are_probabilities
from edgeconv.verify.stored import Given

__all__ = ["ENDED", "UNLIKE", "ended", "unlike_heads"]

#: Items that are looked at to tell probabilities from scores, and read at once.
_SAMPLE = 256

ENDED = (
    "the candidate ends in a softmax, the original before it: one is applied to the original's "
    "answers, so that probabilities are compared with probabilities"
)
UNLIKE = (
    "the original ends in a softmax, the candidate before it: their answers can be compared, "
    "KL divergence, margin and SQNR can't"
)


def unlike_heads(given: Sequence[Given], keeps_head: bool) -> str:
    """Which of the two classifiers alone ends in a softmax.

    What a bundle declares is taken at its word: one that says that it ends in scores
    and answers probabilities is at fault, and is compared as it is.

    Args:
        given: The candidate's artifacts.
        keeps_head: Whether their softmax is inside the files.

    Returns:
        ``ENDED``, ``UNLIKE`` or "".
    """
    told = {(_shares(each.answers[0]), _probable(each.reference[0])) for each in given}
    if keeps_head and told == {(True, False)}:
        return ENDED
    return UNLIKE if not keeps_head and told == {(False, True)} else ""


def ended(given: Sequence[Given], folder: Path) -> list[Given]:
    """The same with a softmax behind each reference.

    Args:
        given: Of classifiers; the references answer scores.
        folder: Scratch; receives the probabilities.
    """
    return [
        replace(each, reference=[_softmax(first, folder / f"ended-{number}.f32"), *others])
        for number, each in enumerate(given)
        for first, *others in [each.reference]
    ]


def _few(rows: Array | Rows) -> Array | None:
    """Some answers [N, C] of a classifier; None where they are a map or a single unit."""
    few = np.asarray(rows[:_SAMPLE], np.float64)
    flat = few.reshape(len(few), -1)
    return flat if classifies_rows("classification", rows) and flat.shape[1] > 1 else None


def _probable(rows: Array | Rows) -> bool:
    few = _few(rows)
    return few is not None and are_probabilities(few, "linear", 0.0)


def _shares(rows: Array | Rows) -> bool:
    """Less strict: an int8 softmax has steps of 1/256, so that rows miss 1 by some of them."""
    few = _few(rows)
    return few is not None and bool(((few >= 0.0) & (few <= 1.0)).all())


def _softmax(rows: Array | Rows, path: Path) -> Rows:
    found = Rows(path)
    for start in range(0, len(rows), _SAMPLE):
        scores = np.asarray(rows[start : start + _SAMPLE], np.float64)
        flat = scores.reshape(len(scores), -1)
        powers = np.exp(flat - flat.max(axis=1, keepdims=True))
        found.append((powers / powers.sum(axis=1, keepdims=True)).reshape(scores.shape))
    return found
