"""Judge answers that were given before, by an engine here or by a device elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgeconv.progress import Progress
from edgeconv.rows import Rows
from edgeconv.types import (
    Array,
    Artifact,
    ArtifactVerdict,
    Batch,
    SourceModel,
    Verdict,
)
from edgeconv.verify.judge import Disagreement, classifies_rows, judge, merged
from edgeconv.verify.pairing import Pairing, pair_classes
from edgeconv.verify.policy import Policy

__all__ = ["Given", "judge_answers", "pairing_of"]

_BATCH = 64

Answers = Sequence[Array | Rows]


@dataclass(frozen=True)
class Given:
    """What an artifact answered, and what it is held against.

    Attributes:
        artifact: Whose answers these are.
        answers: One float array an output, each [N, ...], in the dataset's order.
        reference: Likewise.
        labels: The artifact's class names by index; empty where there are none.
    """

    artifact: Artifact
    answers: Answers
    reference: Answers
    labels: tuple[str, ...] = ()


class Items(Protocol):
    """What is needed of a ``data.Items``, which another room makes."""

    @property
    def name(self) -> str: ...
    @property
    def labelled(self) -> bool: ...
    @property
    def labels(self) -> Array | None: ...
    @property
    def ids(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def batches(self, size: int) -> Iterator[Batch]:
        """See ``types.Dataset``."""


class _Answered:
    """The dataset again, its pictures unopened: their answers are known already.

    Arrays are passed on, for an autoencoder is also held against its input.
    """

    def __init__(self, dataset: Items, arrays: bool) -> None:
        self.name, self.fingerprint, self.labelled = dataset.name, "", dataset.labelled
        self._dataset, self._arrays = dataset, arrays

    def __len__(self) -> int:
        return len(self._dataset)

    def batches(self, size: int) -> Iterator[Batch]:
        """Labels and names, and inputs where they are arrays."""
        if self._arrays:
            yield from self._dataset.batches(size)
            return
        ids, labels = self._dataset.ids, self._dataset.labels
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            y = None if labels is None else labels[start:stop]
            yield Batch((), y, tuple(ids[start:stop]))


def judge_answers(
    given: Sequence[Given],
    dataset: Items,
    source: SourceModel,
    policy: Policy,
    progress: Progress,
    on_disagreement: Callable[[Disagreement], None] | None = None,
) -> Verdict:
    """Compare stored answers with the reference's.

    Args:
        given: An entry an artifact; each has its own reference.
        dataset: The items, as the reference takes them.
        source: The reference: what its outputs mean, and its labels.
        policy: What parity has to hold.
        progress: Advances by items; receives what a person should know.
        on_disagreement: Called for every item with two different answers.

    Returns:
        A verdict for each artifact. Where outputs can't be compared, because
        their number differs, that is a failed one, not an error.
    """
    arrays = source.preprocess.kind == "array"
    answered = _Answered(dataset, arrays)
    picture = not arrays and not dataset.ids[0].startswith("array ")
    verdicts: list[ArtifactVerdict] = []
    words = ""
    for entry in given:
        pairing = pairing_of(entry, source)
        if pairing.note:
            progress.note(pairing.note)
        if reason := _incomparable(entry, pairing):
            verdicts.append(_failed(entry.artifact, reason))
            continue
        verdict = judge(
            [(entry.artifact, _Replay(entry.answers, pairing, _BATCH))],
            entry.reference,
            answered,
            source.task,
            source.activation,
            policy,
            progress,
            batch_size=_BATCH,
            on_disagreement=on_disagreement,
            noun="pictures" if picture else "items",
        )
        words = verdict.gate
        verdicts += verdict.artifacts
    return merged(verdicts, len(dataset), words or "outputs of the same shape")


class _Replay:
    """Stands in for an artifact by reading out what it answered, batch by batch."""

    def __init__(self, answers: Answers, pairing: Pairing, size: int) -> None:
        self._answers, self._pairing, self._size = answers, pairing, size
        self._next = 0

    def __call__(self, *x: Array) -> tuple[Array, ...]:
        start, self._next = self._next, self._next + self._size
        first, *others = [np.asarray(rows[start : self._next]) for rows in self._answers]
        return (self._pairing.ordered(first), *others)


def pairing_of(entry: Given, source: SourceModel) -> Pairing:
    """Which column of the artifact's first output is which class of the reference."""
    if not classifies_rows(source.task, entry.reference[0]):
        return Pairing()
    if _units(entry.reference[0]) != len(source.labels):
        return Pairing()
    return pair_classes(source.labels, entry.labels, _units(entry.answers[0]))


def _units(answers: Array | Rows) -> int:
    return int(np.prod(answers.shape[1:], dtype=np.int64))


def _incomparable(entry: Given, pairing: Pairing) -> str:
    """Why the outputs can't be compared; "" where they can."""
    ours = [_units(rows) for rows in entry.reference]
    theirs = [_units(rows) for rows in entry.answers]
    if len(theirs) < len(ours):
        return f"has {len(theirs)} outputs, the reference {len(ours)}"
    if pairing.columns is not None:
        theirs[0] = len(pairing.columns)
    for number, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        if a != b:
            which = f"output {number} " if len(ours) > 1 else ""
            return f"{which}answers {b:,} numbers an item, the reference {a:,}: lost"
    return ""


def _failed(artifact: Artifact, reason: str) -> ArtifactVerdict:
    return ArtifactVerdict(
        file=artifact.path.name,
        format=artifact.format,
        precision=artifact.precision,
        status="fail",
        equivalent=False,
        reason=reason,
        metrics={},
    )
