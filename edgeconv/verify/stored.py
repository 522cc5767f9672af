"""Judge answers that were given before, by an engine here or by a device elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgeconv.progress import Progress
from edgeconv.rows import Rows
from edgeconv.types import (
    Array,
    Artifact,
    ArtifactVerdict,
    Batch,
    Dataset,
    SourceModel,
    Verdict,
)
from edgeconv.verify.judge import Disagreement, classifies_rows, judge, merged
from edgeconv.verify.pairing import Pairing, pair_classes
from edgeconv.verify.policy import Policy

__all__ = ["Given", "judge_answers"]

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


class _Numbered:
    """A dataset whose items are not loaded: each batch's ``x`` is its row numbers."""

    def __init__(self, dataset: Dataset, ids: Sequence[str], y: Array | None) -> None:
        self.name, self.fingerprint = dataset.name, ""
        self.labelled = y is not None
        self._ids, self._y = ids, y

    def __len__(self) -> int:
        return len(self._ids)

    def batches(self, size: int) -> Iterator[Batch]:
        """Row numbers int64 [N], labels and names."""
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            y = None if self._y is None else self._y[start:stop]
            yield Batch((np.arange(start, stop),), y, tuple(self._ids[start:stop]))


def judge_answers(
    given: Sequence[Given],
    dataset: Dataset,
    source: SourceModel,
    policy: Policy,
    progress: Progress,
    *,
    ids: Sequence[str],
    y: Array | None,
    noun: str,
    on_disagreement: Callable[[Disagreement], None] | None = None,
) -> Verdict:
    """Compare stored answers with the reference's.

    Args:
        given: An entry an artifact; each has its own reference.
        dataset: Names the items.
        source: The reference: what its outputs mean, and its labels.
        policy: What parity has to hold.
        progress: Advances by items; receives what a person should know.
        ids: Names of the items.
        y: int64 [N] class indices of the reference, or None.
        noun: What the items are called, in the plural.
        on_disagreement: Called for every item with two different answers.

    Returns:
        A verdict for each artifact. Where outputs can't be compared, because
        their number differs, that is a failed one, not an error.
    """
    numbered = _Numbered(dataset, ids, y)
    verdicts: list[ArtifactVerdict] = []
    words = ""
    for entry in given:
        pairing = _pairing(entry, source)
        if pairing.note:
            progress.note(pairing.note)
        if reason := _incomparable(entry, pairing):
            verdicts.append(_failed(entry.artifact, reason))
            continue
        verdict = judge(
            [(entry.artifact, _Replay(entry.answers, pairing))],
            entry.reference,
            numbered,
            source.task,
            source.activation,
            policy,
            progress,
            batch_size=64,
            on_disagreement=on_disagreement,
            noun=noun,
        )
        words = verdict.gate
        verdicts += verdict.artifacts
    return merged(verdicts, len(dataset), words or "outputs of the same shape")


class _Replay:
    """Runs an artifact by reading what it answered."""

    def __init__(self, answers: Answers, pairing: Pairing) -> None:
        self._answers = answers
        self._columns = None if pairing.columns is None else list(pairing.columns)

    def __call__(self, numbers: Array) -> tuple[Array, ...]:
        start, stop = int(numbers[0]), int(numbers[-1]) + 1
        first, *others = [np.asarray(rows[start:stop]) for rows in self._answers]
        if self._columns is not None:
            first = first.reshape(len(first), -1)[:, self._columns]
        return (first, *others)


def _pairing(entry: Given, source: SourceModel) -> Pairing:
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
