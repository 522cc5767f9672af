"""What only one task has beside errors and angles, chosen by task and shape.

embedding                          nearest-neighbour recall
classification of every step       agreement by step and by sequence
an output like the input, labels   AUC of the reconstruction error
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from edgeconv.types import Array, MetricValue, Task
from edgeconv.verify.anomaly import AnomalyMeter, scores_of
from edgeconv.verify.neighbours import NeighbourMeter
from edgeconv.verify.sequence import SequenceMeter

__all__ = ["Extra", "extra_for"]


class Extra(Protocol):
    """A meter of one task."""

    def add(
        self,
        reference: Array,
        candidate: Array,
        y: Array | None,
        sound: Array,
        x: Sequence[Array] | None,
    ) -> None:
        """Fold in float64 [N, U] of both; where not ``sound`` the candidate's are zeros."""

    def metrics(self) -> dict[str, MetricValue]:
        """What was measured."""


def extra_for(task: Task | None, shape: tuple[int, ...], x: Sequence[Array] | None) -> Extra | None:
    """The meter for outputs of this shape; None where there is none.

    Args:
        task: What the outputs mean.
        shape: Of the first output, batch first.
        x: The inputs, where they are known.
    """
    units = int(np.prod(shape[1:], dtype=np.int64))
    if task == "embedding" and units > 1:
        return _Neighbours(units)
    if task == "classification" and len(shape) > 2 and shape[-1] > 1:
        return _Sequence(shape[-1])
    if task in ("regression", "raw") and x is not None and len(x) == 1 and units > 1:
        size = int(np.prod(np.shape(x[0])[1:], dtype=np.int64))
        return _Anomaly() if size == units else None
    return None


class _Neighbours:
    def __init__(self, units: int) -> None:
        self._meter = NeighbourMeter(units)

    def add(
        self,
        reference: Array,
        candidate: Array,
        y: Array | None,
        sound: Array,
        x: Sequence[Array] | None,
    ) -> None:
        self._meter.add(reference, candidate)

    def metrics(self) -> dict[str, MetricValue]:
        found = self._meter.recall()
        return {} if found is None else {"recall_at_1": found}


class _Sequence:
    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._meter = SequenceMeter()

    def add(
        self,
        reference: Array,
        candidate: Array,
        y: Array | None,
        sound: Array,
        x: Sequence[Array] | None,
    ) -> None:
        steps = (len(reference), -1, self._classes)
        self._meter.add(reference.reshape(steps), candidate.reshape(steps), sound)

    def metrics(self) -> dict[str, MetricValue]:
        found: dict[str, MetricValue] = {"sequence_agreement": self._meter.by_sequence}
        by_step = self._meter.by_step
        return found if by_step is None else {"step_agreement": by_step, **found}


class _Anomaly:
    def __init__(self) -> None:
        self._meter = AnomalyMeter()

    def add(
        self,
        reference: Array,
        candidate: Array,
        y: Array | None,
        sound: Array,
        x: Sequence[Array] | None,
    ) -> None:
        if y is None or x is None:
            return
        given = np.asarray(x[0], dtype=np.float64).reshape(len(y), -1)
        self._meter.add(scores_of(given, reference), scores_of(given, candidate), y)

    def metrics(self) -> dict[str, MetricValue]:
        found = self._meter.result()
        if found is None:
            return {}
        return {"auc": found.candidate, "auc_reference": found.reference, "auc_drop": found.drop}
