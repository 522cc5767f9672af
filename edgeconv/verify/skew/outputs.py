"""The usual mistakes after the model: each a function of its answers.

    labels shifted      y[:, i]  ->  y[:, i ± 1], or one class too many
    double softmax      p        ->  log p, once or twice
    not dequantized     q        ->  a q + b, fitted to the reference

Neither a second softmax nor a forgotten dequantization moves top-1, so these two are
known by what the numbers look like, and held against the reference by size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from edgeconv.types import Array
from edgeconv.verify.answers import divergence
from edgeconv.verify.skew.fit import Yardstick
from edgeconv.verify.skew.suspicion import Kind

__all__ = ["Undoing", "not_dequantized", "second_softmax", "shifts"]


@dataclass(frozen=True, eq=False)
class Undoing:
    """A mistake after the model, and how to undo it.

    Attributes:
        kind: The mistake.
        undo: Answers float64 [N, U] -> [N, C].
        how: What it does, in words that follow "when".
    """

    kind: Kind
    undo: Callable[[Array], Array]
    how: str


def shifts(classes: int, answers: Array) -> Iterator[Undoing]:
    """Class indices off by one.

    Args:
        classes: C, as the reference has them.
        answers: [N, U] of the candidate; U may be C + 1, C - 1 or C.
    """
    units = answers.shape[1]
    if classes < 3:
        return  # two classes swapped are no shift
    if units == classes + 1:
        yield Undoing("labels-shifted", lambda y: y[:, 1:], "the first class is left out")
        yield Undoing("labels-shifted", lambda y: y[:, :-1], "the last class is left out")
    elif units == classes:
        for step, how in ((-1, "read as the one after it"), (1, "read as the one before it")):
            roll = _Roll(-step)
            yield Undoing("labels-shifted", roll, f"each class is {how}")


@dataclass(frozen=True)
class _Roll:
    """Column i becomes column i + step; the last goes round."""

    step: int

    def __call__(self, y: Array) -> Array:
        return np.roll(y, self.step, axis=1)


def second_softmax(yardstick: Yardstick, answers: Array) -> tuple[Undoing, float, float] | None:
    """A softmax that the file has already, or had twice.

    Args:
        yardstick: The reference.
        answers: float64 [N, C].

    Returns:
        How to undo it, and the mean KL in nats before and after; None where the
        answers are no probabilities, or the reference's are too.
    """
    truth, activation = yardstick.truth, yardstick.activation
    if not yardstick.classifies or answers.shape != truth.shape or truth.shape[1] < 2:
        return None
    if not _probabilities(answers):
        return None
    undo = logits_twice if _squeezed(answers) else logits
    if _probabilities(truth):
        # The file keeps its softmax, as the reference does: one more was applied.
        if not _squeezed(answers) or _squeezed(truth):
            return None
        before = _kl(_log(truth), _log(answers))
        after = _kl(_log(truth), logits_twice(answers))
        how = "the second softmax is taken off"
        undo = _as_probabilities
    elif activation == "sigmoid":
        return None
    else:
        before, after = _kl(truth, answers), _kl(truth, undo(answers))
        how = "the softmax is applied once"
    if after > 0.5 * before:
        return None
    return Undoing("double-softmax", undo, how), before, after


def logits(p: Array) -> Array:
    """What softmax turns into p, but for a constant; zeros count as half the smallest step."""
    positive = p[p > 0.0]
    floor = 0.5 * float(positive.min()) if positive.size else 1.0
    return np.log(np.maximum(p, floor))


def logits_twice(p: Array) -> Array:
    """The logits under softmax(softmax(z)): log p is softmax(z) but for a constant."""
    log_p = logits(p)
    inner = log_p + (1.0 - log_p.sum(axis=1, keepdims=True)) / p.shape[1]
    return logits(np.maximum(inner, 0.0))


def _as_probabilities(p: Array) -> Array:
    return np.exp(logits_twice(p))


def _log(p: Array) -> Array:
    return logits(p)


def _kl(truth: Array, answers: Array) -> float:
    return float(np.mean(divergence(truth, answers, "softmax")))


def _probabilities(answers: Array) -> bool:
    """Whether rows lie in 0..1 and mostly sum to one.

    An 8-bit softmax of many classes rounds small ones to zero, so that the sum of an
    undecided row may fall short; it is never much above one.
    """
    sums = answers.sum(axis=1)
    inside = answers.min() >= -1e-6 and answers.max() <= 1.0 + 1e-6
    return bool(inside and sums.max() <= 1.2 and np.median(np.abs(sums - 1.0)) <= 0.2)


def _squeezed(p: Array) -> bool:
    """Whether no row holds more than softmax of probabilities can: max/min <= e."""
    return bool(np.all(p.max(axis=1) <= np.e * np.maximum(p.min(axis=1), 0.0) * 1.01 + 1e-9))


def not_dequantized(yardstick: Yardstick, answers: Array) -> tuple[Undoing, float, float] | None:
    """Whole numbers where the reference has real ones, and a straight line between the two.

    Args:
        yardstick: The reference.
        answers: float64 [N, C].

    Returns:
        How to undo it, and the relative error in percent before and after; None
        where it is not so.
    """
    truth = yardstick.truth
    if answers.shape != truth.shape or not _whole(answers) or _whole(truth):
        return None
    line = _Line.through(answers, truth)
    before, after = _relative_error(truth, answers), _relative_error(truth, line(answers))
    # A line through pure noise explains nothing: the error stays near the whole spread.
    if line.factor <= 0.0 or yardstick.fit(line(answers)).error > 75.0 or after > 0.5 * before:
        return None
    sign = "-" if line.shift < 0.0 else "+"
    how = f"the outputs are read as q * {line.factor:.3g} {sign} {abs(line.shift):.3g}"
    return Undoing("not-dequantized", line, how), before, after


@dataclass(frozen=True)
class _Line:
    """y = factor * q + shift."""

    factor: float
    shift: float

    def __call__(self, q: Array) -> Array:
        return np.asarray(self.factor * q + self.shift)

    @staticmethod
    def through(q: Array, truth: Array) -> _Line:
        """Least squares over all numbers."""
        centred = q - q.mean()
        power = float((centred * centred).sum())
        factor = float((centred * truth).sum()) / power if power > 0.0 else 0.0
        return _Line(factor, float(truth.mean() - factor * q.mean()))


def _whole(answers: Array) -> bool:
    """Integers of 8 or 16 bits, and not all the same."""
    inside = answers.min() >= -32768 and answers.max() <= 65535
    return bool(inside and np.ptp(answers) > 1 and np.array_equal(answers, np.rint(answers)))


def _relative_error(truth: Array, answers: Array) -> float:
    norm = float(np.linalg.norm(truth))
    return 100.0 * float(np.linalg.norm(answers - truth)) / max(norm, 1e-30)
