"""One artifact against the reference: the meter that runs along the dataset.

Names and units of the metrics, as they stand in verdict.json (percent and
points, never fractions):

    classification   top1, top1_reference, top5, top5_reference    %, with labels;
                                                                   top-5 beyond 5 classes
                     top1_drop            Interval, points
                     agreement            % of items with the same answer
                     agreement_interval   Interval, %
                     mean_kl              nats, reference || candidate
    other tasks      relative_error       ‖a - b‖ / ‖a‖, %
                     spread_error         ‖a - b‖ over the reference's spread, %
                     cosine_mean, cosine_min    -1 to 1
    all              sqnr_db              dB, None where there is no error
                     max_relative_difference    max|a - b| / max|a|, %
                     other_outputs_relative_error    % of the worst further output
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeconv.errors import UsageError
from edgeconv.types import Activation, Array, MetricValue
from edgeconv.verify.answers import AnswerMeter
from edgeconv.verify.paired import paired_drop, wilson
from edgeconv.verify.signal import SignalMeter

__all__ = ["EQUIVALENT_PERCENT", "Measurement", "Meter", "as_rows"]

#: Float engines differ by 1e-5 relative (sums in another order); an int8 model by 1e-1.
EQUIVALENT_PERCENT = 0.1


@dataclass(frozen=True)
class Measurement:
    """What a meter saw.

    Attributes:
        samples: Items.
        labelled: Whether they had labels.
        reference_only: Items that the reference alone gets right.
        candidate_only: Items that the candidate alone gets right.
        agreeing: Items with the same answer.
        equivalent: Every answer equal and all numbers within 1e-3 relative.
        broken: Ids of the items to which the candidate answered NaN or infinity.
        metrics: See the module's docstring.
    """

    samples: int
    labelled: bool
    reference_only: int
    candidate_only: int
    agreeing: int
    equivalent: bool
    broken: tuple[str, ...]
    metrics: dict[str, MetricValue]


class Meter:
    """Streaming comparison of one candidate with the reference.

    Args:
        activation: What was taken off the head.
        classifies: Whether the first output is a row of class scores.
        threshold: Score beyond which a single unit says yes.
        name: Of the candidate, for messages.
    """

    def __init__(
        self,
        activation: Activation,
        classifies: bool,
        threshold: float = 0.0,
        name: str = "The candidate",
    ) -> None:
        self._name = name
        self._answers = AnswerMeter(activation, threshold) if classifies else None
        self._signals: list[SignalMeter] = []
        self._samples = 0
        self._units = 0
        self._broken: list[str] = []

    def add(
        self,
        reference: Sequence[Array],
        candidate: Sequence[Array],
        y: Array | None,
        ids: Sequence[str],
    ) -> Array | None:
        """Fold in one batch.

        Args:
            reference: One array an output, each [N, ...], finite.
            candidate: The same shapes.
            y: int64 [N] labels, or None.
            ids: Names of the items.

        Returns:
            int64 [N, 2]: class of reference and candidate; None where nothing is classified.

        Raises:
            UsageError: Outputs that can't be compared, or a label out of range.
        """
        self._check_shapes(reference, candidate)
        ours, theirs = [as_rows(a) for a in reference], [as_rows(b) for b in candidate]
        sound = np.logical_and.reduce([np.isfinite(rows).all(axis=1) for rows in theirs])
        self._broken.extend(name for name, good in zip(ids, sound, strict=True) if not good)
        self._samples += len(sound)
        self._units = ours[0].shape[1]
        if not self._signals:
            self._signals = [SignalMeter() for _ in ours]
        for meter, a, b in zip(self._signals, ours, theirs, strict=True):
            meter.add(a[sound], b[sound])
        if self._answers is None:
            return None
        whole = np.where(sound[:, None], theirs[0], 0.0)
        return self._answers.add(ours[0], whole, y, sound)

    def _check_shapes(self, reference: Sequence[Array], candidate: Sequence[Array]) -> None:
        ours, theirs = [np.shape(a) for a in reference], [np.shape(b) for b in candidate]
        if [_size(shape) for shape in ours] != [_size(shape) for shape in theirs]:
            raise UsageError(
                f"{self._name} answers with shapes {theirs}, the reference with {ours}.",
                "Compare a model with the one that it was made from.",
            )

    def result(self) -> Measurement:
        """Everything so far, as numbers."""
        counts = self._answers
        equal = counts is None or counts.agreeing == self._samples
        close = all(
            (difference := signal.max_relative_difference) is not None
            and difference <= EQUIVALENT_PERCENT
            for signal in self._signals
        )
        return Measurement(
            samples=self._samples,
            labelled=counts is not None and counts.labelled > 0,
            reference_only=counts.reference_only if counts else 0,
            candidate_only=counts.candidate_only if counts else 0,
            agreeing=counts.agreeing if counts else 0,
            equivalent=equal and close and not self._broken,
            broken=tuple(self._broken),
            metrics=self._metrics(),
        )

    def _metrics(self) -> dict[str, MetricValue]:
        found: dict[str, MetricValue] = {}
        if self._answers is not None:
            found.update(_answer_metrics(self._answers, self._units))
        if self._signals:
            found.update(_signal_metrics(self._signals, with_answers=self._answers is not None))
        if self._broken:
            # Means over the items that happened to survive would flatter the candidate.
            found.update({name: None for name in found if name not in _COUNTED})
        return found


#: Metrics that count a broken item as a wrong answer, so stay meaningful beside it.
_COUNTED = {
    "top1",
    "top1_reference",
    "top1_drop",
    "top5",
    "top5_reference",
    "agreement",
    "agreement_interval",
}


def _answer_metrics(counts: AnswerMeter, units: int) -> dict[str, MetricValue]:
    found: dict[str, MetricValue] = {}
    n = counts.labelled
    if n:
        found["top1"] = 100.0 * counts.right[1] / n
        found["top1_reference"] = 100.0 * counts.right[0] / n
        found["top1_drop"] = paired_drop(counts.reference_only, counts.candidate_only, n)
        if units > 5:
            found["top5"] = 100.0 * counts.right_in_5[1] / n
            found["top5_reference"] = 100.0 * counts.right_in_5[0] / n
    if counts.samples:
        agreement = wilson(counts.agreeing, counts.samples)
        found["agreement"] = agreement.estimate
        found["agreement_interval"] = agreement
    found["mean_kl"] = counts.mean_kl
    return found


def _signal_metrics(signals: Sequence[SignalMeter], with_answers: bool) -> dict[str, MetricValue]:
    first, *others = signals
    found: dict[str, MetricValue] = {}
    if not with_answers:
        found["relative_error"] = first.relative_error
        found["spread_error"] = first.spread_error
        if first.cosines is not None:
            found["cosine_mean"], found["cosine_min"] = first.cosines
    found["sqnr_db"] = first.sqnr_db
    found["max_relative_difference"] = first.max_relative_difference
    if others:
        errors = [signal.relative_error for signal in others]
        known = [error for error in errors if error is not None]
        found["other_outputs_relative_error"] = max(known) if len(known) == len(errors) else None
    return found


def as_rows(array: Array) -> Array:
    """One item a row: float64 [N, U] of an array [N, ...]."""
    rows = np.asarray(array, dtype=np.float64)
    return rows.reshape(len(rows), -1) if rows.size else rows.reshape(len(rows), 0)


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    """(items, numbers an item): [N, 1, 1, C] and [N, C] compare, [N, C] and [N, D] don't."""
    return shape[0], int(np.prod(shape[1:], dtype=np.int64))
