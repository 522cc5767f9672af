"""One artifact against the reference: the meter that runs along the dataset.

Names and units of the metrics, as they stand in verdict.json (percent and
points, never fractions; titles and meanings are in ``metric_names``):

    classification   top1, top1_reference, top5, top5_reference    %, with labels;
                                                                   top-5 beyond 5 classes
                     top1_drop, top5_drop Interval, points
                     agreement            % of items with the same answer
                     agreement_interval   Interval, %
                     worst_class_drop     Interval, points, of classes with 5 items and more
                     worst_class, worst_class_samples    its index, its items
                     ece, ece_reference   expected calibration error, %, with labels;
                                          absent where scores are no probabilities
                     mean_kl              nats, reference || candidate
                     mean_kl_interval     Interval, nats
                     margin_change        Interval, logits: of the label's class (without
                                          labels the reference's answer) to its best rival
                     margin_reference     logits, mean |margin| of the reference
    maps, sequences  step_agreement, sequence_agreement    Interval, %
    embeddings       recall_at_1          Interval, %
    autoencoders     auc, auc_reference   %, where labels are 0 and 1
                     auc_drop             Interval, points
    all but classes  relative_error       ‖a - b‖ / ‖a‖, %
                     spread_error         ‖a - b‖ over the reference's spread, %
                     cosine_mean, cosine_min    -1 to 1
    all              sqnr_db              dB, None where there is no error
                     max_relative_difference    max|a - b| / max|a|, %
    several outputs  other_outputs_relative_error    % of the worst further output
                     output0_relative_error, output0_sqnr_db, output1_...    each one's own

Memory doesn't grow with the items but for the 17 bytes an item of the AUC; recall
holds at most 1,000 embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeconv.errors import UsageError
from edgeconv.types import Activation, Array, MetricValue, Task
from edgeconv.verify.answers import AnswerMeter
from edgeconv.verify.extra import Extra, extra_for
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
        task: What the outputs mean; None measures nothing that only one task has.
    """

    def __init__(
        self,
        activation: Activation,
        classifies: bool,
        threshold: float = 0.0,
        name: str = "The candidate",
        task: Task | None = None,
    ) -> None:
        self._name = name
        self._answers = AnswerMeter(activation, threshold) if classifies else None
        self._task: Task | None = "classification" if classifies else task
        self._extra: Extra | None = None
        self._signals: list[SignalMeter] = []
        self._samples = 0
        self._broken: list[str] = []

    def add(
        self,
        reference: Sequence[Array],
        candidate: Sequence[Array],
        y: Array | None,
        ids: Sequence[str],
        x: Sequence[Array] | None = None,
    ) -> Array | None:
        """Fold in one batch.

        Args:
            reference: One array an output, each [N, ...], finite.
            candidate: The same shapes.
            y: int64 [N] labels, or None.
            ids: Names of the items.
            x: What the reference was given, one array an input; only an
                autoencoder's AUC needs it.

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
        if not self._signals:
            self._signals = [SignalMeter() for _ in ours]
            if self._answers is None:
                self._extra = extra_for(self._task, np.shape(reference[0]), x)
        for meter, a, b in zip(self._signals, ours, theirs, strict=True):
            meter.add(a[sound], b[sound])
        whole = np.where(sound[:, None], theirs[0], 0.0)
        if self._extra is not None:
            self._extra.add(ours[0], whole, y, sound, x)
        return None if self._answers is None else self._answers.add(ours[0], whole, y, sound)

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
            reference_only=counts.top1.alone[0] if counts else 0,
            candidate_only=counts.top1.alone[1] if counts else 0,
            agreeing=counts.agreeing if counts else 0,
            equivalent=equal and close and not self._broken,
            broken=tuple(self._broken),
            metrics=self._metrics(),
        )

    def _metrics(self) -> dict[str, MetricValue]:
        found: dict[str, MetricValue] = {}
        if self._answers is not None:
            found.update(self._answers.metrics())
        if self._signals:
            found.update(_signal_metrics(self._signals, with_answers=self._answers is not None))
        if self._extra is not None:
            found.update(self._extra.metrics())
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
    "top5_drop",
    "worst_class_drop",
    "worst_class",
    "worst_class_samples",
    "step_agreement",
    "sequence_agreement",
    "agreement",
    "agreement_interval",
}


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
        for index, signal in enumerate(signals):
            found[f"output{index}_relative_error"] = signal.relative_error
            found[f"output{index}_sqnr_db"] = signal.sqnr_db
    return found


def as_rows(array: Array) -> Array:
    """One item a row: float64 [N, U] of an array [N, ...]."""
    rows = np.asarray(array, dtype=np.float64)
    return rows.reshape(len(rows), -1) if rows.size else rows.reshape(len(rows), 0)


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    """(items, numbers an item): [N, 1, 1, C] and [N, C] compare, [N, C] and [N, D] don't."""
    return shape[0], int(np.prod(shape[1:], dtype=np.int64))
